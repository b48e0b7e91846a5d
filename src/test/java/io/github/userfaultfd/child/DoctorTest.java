// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Tracing;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Mounts;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.OrdinaryUser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code doctor} where all is there, and where something is missing: the cause, the remedy and the exit code. */
class DoctorTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FAILED = 1;
    private static final String LAUNCHER = ChildJvm.root().resolve("target/test-native/seccomp_launcher").toString();
    private static final String PROFILE = " | remedy: a profile that allows userfaultfd, or give the container /dev/userfaultfd";

    @TempDir
    private Path scratch;

    private static String examine(ChildJvm child, int exit) throws Exception {
        return child.run(DEADLINE, Main.class, "doctor").assertExit(exit).output();
    }

    private static String section(String output, String title) {
        int start = ("\n" + output).indexOf("\n" + title + "\n");
        assertTrue(start >= 0, () -> "no section " + title + " in: " + output);
        return output.substring(start, output.indexOf("\n\n", start));
    }

    /** The line of a finding, without blanks for alignment, and with its remedy. */
    private static String line(String output, String name) {
        List<String> lines = output.lines().toList();
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).matches("  [-+ ] \\Q" + name + "\\E  .*")) {
                boolean remedy = i + 1 < lines.size() && lines.get(i + 1).strip().startsWith("remedy: ");
                return lines.get(i).strip().replaceFirst(" {2,}", ": ") + (remedy ? " | " + lines.get(i + 1).strip() : "");
            }
        }
        throw new AssertionError("no line of " + name + " in: " + output);
    }

    private static void assertWorks(String output, boolean works) {
        assertTrue(output.contains(works ? "\nPaging works here.\n" : "\nPaging does not work here: "), output);
    }

    private static void assertDevice(String output, String sign, String found) {
        for (String each : new String[] {"/dev/userfaultfd, user mode only", "/dev/userfaultfd, all faults"}) {
            assertEquals(sign + " " + each + ": " + found, line(section(output, "Opening a userfaultfd"), each));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whereAllIsThere(boolean newer) throws Exception {
        ChildJvm child = newer ? new ChildJvm().java(Needs.newerJava()) : new ChildJvm();
        String output = examine(child, 0);
        assertWorks(output, true);
        String version = newer ? " (2[2-9]|3\\d)\\b.*" : " \\Q" + Runtime.version() + "\\E";
        assertTrue(line(section(output, "System"), "Java").matches("Java: .*" + version), output);
        assertEquals("+ native library: loaded from the jar's natives",
                line(section(output, "Native library"), "native library").substring(0, 47));
        assertEquals("+ the system call, user mode only: opens",
                line(section(output, "Opening a userfaultfd"), "the system call, user mode only"));
        for (String memory : new String[] {"anonymous memory", "shared memory"}) {
            assertRight(output, memory, "THREAD", true);
            assertRight(output, memory, "INLINE", Needs.system().features().contains(Feature.SIGBUS));
        }
        boolean tracks = Needs.workingFeatures().contains(Feature.PAGEFAULT_FLAG_WP);
        String tracking = line(section(output, "Self-test"), "tracking of what was written");
        assertTrue(tracks ? tracking.equals("+ tracking of what was written: one page written, one page told")
                : tracking.startsWith("- "), tracking);
    }

    private static void assertRight(String output, String memory, String engine, boolean works) {
        String name = "paging of " + memory + ", " + engine;
        String line = line(section(output, "Self-test"), name);
        assertTrue(line.matches(works ? "\\+ \\Q" + name + "\\E: every byte of [1-9]\\d* pages right" : "- .*"), line);
    }

    @Test
    void whatTheKernelHas() throws Exception {
        String output = examine(new ChildJvm(), 0);
        for (Feature each : Feature.values()) {
            String line = line(section(output, "Features"), each.name());
            if (each == Feature.PAGEFAULT_FLAG_WP && !Needs.system().writeProtects() && Needs.system().features().contains(each)) {
                assertEquals("- PAGEFAULT_FLAG_WP: the kernel says it has it, but a protected page can be written"
                        + " | remedy: another kernel", line);
            } else if (each == Feature.EVENT_FORK && Tracing.here() != Tracing.ALLOWED) {
                assertEquals("+ EVENT_FORK: Linux " + each.since() + "; needs CAP_SYS_PTRACE", line);
            } else {
                assertTold(Needs.system().features().contains(each), each.since(), "missing; [^|]+", line);
            }
        }
        for (Ioctl each : Ioctl.values()) {
            assertTold(Needs.system().ioctls().contains(each), each.since(), "missing",
                    line(section(output, "Ioctls"), each.name()));
        }
        assertTold(Needs.system().pagemapScan(), "6.7", "missing; what was written is found out by faults, which is slower",
                line(section(output, "Memory"), "PAGEMAP_SCAN"));
    }

    private static void assertTold(boolean there, String since, String missing, String line) {
        String remedy = " | remedy: Linux " + since + " or newer, if it was built with that and has it for this processor";
        assertTrue(line.matches(there ? "\\+ \\w+: Linux \\Q" + since + "\\E" : "- \\w+: " + missing + "\\Q" + remedy + "\\E"),
                line);
    }

    @Test
    void ofRoot() throws Exception {
        Needs.root();
        assumeTrue(Needs.mayFollowForks(), "root without CAP_SYS_PTRACE");
        String output = examine(new ChildJvm(), 0);
        assertEquals("CAP_SYS_PTRACE: yes", line(section(output, "This process"), "CAP_SYS_PTRACE"));
        assertEquals("+ the system call, all faults: opens",
                line(section(output, "Opening a userfaultfd"), "the system call, all faults"));
    }

    @Test
    void theDeviceOpensForRoot() throws Exception {
        Needs.root();
        needsDevice();
        assertDevice(examine(new ChildJvm(), 0), "+", "opens");
    }

    private static void needsDevice() {
        assumeTrue(Files.exists(Path.of("/dev/userfaultfd")), "no /dev/userfaultfd");
    }

    @Test
    void whereThereIsNoDevice() throws Exception {
        Mounts.needed();
        String output = examine(new ChildJvm().startedBy(Mounts.changed("mount -t tmpfs none /dev && mknod /dev/null c 1 3"
                + " && mknod /dev/random c 1 8 && mknod /dev/urandom c 1 9")), 0);
        assertWorks(output, true);
        assertDevice(output, "-", "ENOENT, there is no such device | remedy: Linux 6.1 or newer; in a container docker run"
                + " --device=/dev/userfaultfd, or the like; in a systemd service PrivateDevices=no");
    }

    @Test
    void ofAnOrdinaryUser() throws Exception {
        OrdinaryUser.needsClosedSetting();
        String output = examine(new OrdinaryUser(scratch).child(), 0);
        assertWorks(output, true);
        String ways = section(output, "Opening a userfaultfd");
        assertEquals("+ the system call, user mode only: opens", line(ways, "the system call, user mode only"));
        assertEquals("- the system call, all faults: EPERM, this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0"
                + " | remedy: userModeOnly(true), or the capability, or sysctl vm.unprivileged_userfaultfd=1",
                line(ways, "the system call, all faults"));
        assertRight(output, "anonymous memory", "INLINE", Needs.system().features().contains(Feature.SIGBUS));
        assertEquals("CAP_SYS_PTRACE: no", line(section(output, "This process"), "CAP_SYS_PTRACE"));
        assertEquals("vm.unprivileged_userfaultfd: 0", line(section(output, "This process"), "vm.unprivileged_userfaultfd"));
    }

    @Test
    void theDeviceIsForbiddenToAnOrdinaryUser() throws Exception {
        OrdinaryUser.needsClosedDevice();
        assertDevice(examine(new OrdinaryUser(scratch).child(), 0), "-", "EACCES, the mode of the device node does not allow this"
                + " user to open it | remedy: setfacl -m u:NAME:rw /dev/userfaultfd, or a udev rule; if it does allow it, a mount without nodev, or"
                + " SELinux's audit log");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "1 | EPERM, a seccomp filter forbids it, as Docker's default profile does", "38 | ENOSYS, a seccomp filter hides it"})
    void underASeccompFilter(String errno, String found) throws Exception {
        Mounts.needed();
        String output = examine(new ChildJvm().startedBy(LAUNCHER, errno, "--no-device"), FAILED);
        assertWorks(output, false);
        for (String each : new String[] {"the system call, user mode only", "the system call, all faults"}) {
            assertEquals("- " + each + ": " + found + PROFILE, line(section(output, "Opening a userfaultfd"), each));
        }
        assertEquals("seccomp: a filter is active", line(section(output, "This process"), "seccomp"));
        assertEquals("- paging: nothing to try it with: no userfaultfd can be opened, see above",
                line(section(output, "Self-test"), "paging"));
        assertTrue(output.endsWith("no userfaultfd can be opened\n"), output);
        assertFalse(output.contains("+ paging"), output);
    }

    @ParameterizedTest
    @ValueSource(strings = {"1", "38"})
    void theDeviceGetsAroundAFilter(String errno) throws Exception {
        Needs.root();
        needsDevice();
        String output = examine(new ChildJvm().startedBy(LAUNCHER, errno), 0);
        assertWorks(output, true);
        assertDevice(output, "+", "opens");
        assertTrue(line(output, "the system call, user mode only").endsWith(PROFILE), output);
        assertRight(output, "anonymous memory", "THREAD", true);
    }

    /** The same answer may come from a kernel that was built without it: such a one does not have the setting. */
    @Test
    void whereTheSystemCallIsNotThereAndNothingTellsOfIt() throws Exception {
        Mounts.needed();
        String output = examine(new ChildJvm().startedBy(Mounts.tmpfs("ro", Path.of("/proc/sys/vm")))
                .startedBy(LAUNCHER, "38", "--no-device"), FAILED);
        assertEquals("- the system call, user mode only: ENOSYS, the kernel was built without it, or a sandbox (gVisor, a seccomp"
                + " filter) hides it | remedy: a kernel with CONFIG_USERFAULTFD, which gVisor's is not, and a profile that allows"
                + " userfaultfd", line(output, "the system call, user mode only"));
        assertEquals("vm.unprivileged_userfaultfd: the kernel does not have the setting",
                line(output, "vm.unprivileged_userfaultfd"));
    }

    /** As in a systemd service with ProcSubset=pid. */
    @Test
    void whereTheSettingsCannotBeSeen() throws Exception {
        OrdinaryUser.needsClosedSetting();
        Mounts.needed();
        String output = examine(new OrdinaryUser(scratch).child(Mounts.tmpfs("ro", Path.of("/proc/sys"))), 0);
        assertEquals("- the system call, all faults: EPERM, this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0"
                + " unless somebody changed it, which cannot be seen without /proc/sys | remedy: userModeOnly(true), or the"
                + " capability, or sysctl vm.unprivileged_userfaultfd=1", line(output, "the system call, all faults"));
        assertEquals("vm.unprivileged_userfaultfd: not known: there is no /proc/sys here",
                line(output, "vm.unprivileged_userfaultfd"));
    }

    @Test
    void withoutHugePages() throws Exception {
        Mounts.needed();
        String output = examine(new ChildJvm().startedBy(Mounts.tmpfs("ro", Path.of("/sys/kernel/mm"))), 0);
        assertWorks(output, true);
        String memory = section(output, "Memory");
        assertEquals("page size: " + Needs.system().pageSize() + " bytes", line(memory, "page size"));
        assertEquals("- huge pages: this system has none; other memory works without them | remedy: a kernel that was built with"
                + " CONFIG_HUGETLBFS, on a processor that has them", line(memory, "huge pages"));
        assertFalse(output.contains("huge pages of"), output);
    }

    @Test
    void withoutAFreeHugePage() throws Exception {
        Mounts.needed();
        String pool = "/sys/kernel/mm/hugepages/hugepages-2048kB";
        String output = examine(new ChildJvm().startedBy(Mounts.changed("mount -t tmpfs none /sys/kernel/mm && mkdir -p " + pool
                + " && echo 0 >" + pool + "/free_hugepages")), 0);
        assertWorks(output, true);
        assertEquals("- huge pages of 2048 KiB: none free; other memory works without them | remedy: as root: echo NUMBER >" + pool
                + "/nr_hugepages", line(section(output, "Memory"), "huge pages of 2048 KiB"));
        assertFalse(output.contains("paging of huge pages"), output);
    }

    @Test
    void withHugePages() throws Exception {
        HugePages.need();
        try {
            String output = examine(new ChildJvm(), 0);
            String memory = "huge pages of " + HugePages.SIZE / 1024 + " KiB";
            assertTrue(line(section(output, "Memory"), memory).matches("\\+ " + memory + ": [1-9]\\d* free"), output);
            assertRight(output, memory, "THREAD", true);
            assertRight(output, memory, "INLINE", Needs.system().features().contains(Feature.SIGBUS));
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void whereNoLibraryCanBeExtracted() throws Exception {
        Mounts.needed();
        Path closed = Files.createDirectory(scratch.resolve("closed"));
        ChildJvm child = new ChildJvm().startedBy(Mounts.tmpfs("noexec", closed)).options("-Djava.io.tmpdir=" + closed);
        String output = examine(child, FAILED);
        assertWorks(output, false);
        assertEquals("- native library: the temporary directory " + closed
                + " is mounted noexec, so no library can be loaded from it | remedy: name another directory with"
                + " -Duserfaultfd.library.tmpdir, or a library file with -Duserfaultfd.library.path",
                line(output, "native library"));
        assertTrue(output.endsWith("the native library cannot be loaded\n"), output);
    }

    @Test
    void whereTheJvmDeniesNativeCode() throws Exception {
        ChildJvm child = new ChildJvm().java(Needs.newerJava())
                .options("--illegal-native-access=deny", "--enable-native-access=java.base");
        String output = examine(child, FAILED);
        assertWorks(output, false);
        String line = line(output, "native library");
        assertTrue(line.startsWith("- native library: this JVM was told to deny native code | remedy: allow it with"
                + " --enable-native-access=ALL-UNNAMED "), line);
        assertTrue(output.endsWith("the native library cannot be loaded\n"), output);
    }
}
