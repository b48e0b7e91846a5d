// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Mounts;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.OrdinaryUser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code doctor} where something is missing: the cause, the remedy and the exit code. */
class DoctorTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FAILED = 1;

    @TempDir
    private Path scratch;

    private static String examine(ChildJvm child, int exit) throws Exception {
        return child.run(DEADLINE, Main.class, "doctor").assertExit(exit).output();
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

    @ParameterizedTest
    @CsvSource({"false", "true"})
    void whereAllIsThere(boolean newer) throws Exception {
        ChildJvm child = newer ? new ChildJvm().java(Needs.newerJava()) : new ChildJvm();
        String output = examine(child, 0);
        assertWorks(output, true);
        assertEquals("+ native library: loaded from the jar's natives", line(output, "native library").substring(0, 47));
        assertTrue(line(output, "paging of anonymous memory, THREAD").endsWith(" pages right"), output);
        for (Feature each : Feature.values()) {
            assertTrue(line(output, each.name()).contains("Linux " + each.since()), output);
        }
        for (Ioctl each : Ioctl.values()) {
            assertTrue(line(output, each.name()).contains("Linux " + each.since()), output);
        }
    }

    @Test
    void forPrograms() throws Exception {
        String output = new ChildJvm().run(DEADLINE, Main.class, "doctor", "--json").assertExit(0).output();
        List<String> sections = new ArrayList<>();
        int findings = 0;
        boolean works = false;
        try (JsonParser json = new JsonFactory().createParser(output)) {
            for (JsonToken each = json.nextToken(); each != null; each = json.nextToken()) {
                if (each == JsonToken.START_ARRAY) {
                    sections.add(json.currentName());
                }
                works |= each == JsonToken.VALUE_TRUE && json.currentName().equals("works");
                findings += each == JsonToken.FIELD_NAME && json.currentName().equals("answer") ? 1 : 0;
            }
        }
        assertTrue(works, output);
        assertEquals(List.of("System", "This process", "Native library", "Opening a userfaultfd", "Features", "Ioctls", "Memory",
                "Self-test"), sections);
        assertTrue(findings > 40, output);
    }

    @Test
    void ofAnOrdinaryUser() throws Exception {
        OrdinaryUser.needsClosedSetting();
        String output = examine(new OrdinaryUser(scratch).child(), 0);
        assertWorks(output, true);
        assertEquals("+ the system call, user mode only: opens", line(output, "the system call, user mode only"));
        assertEquals("- the system call, all faults: EPERM, this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0"
                + " | remedy: userModeOnly(true), or the capability, or sysctl vm.unprivileged_userfaultfd=1",
                line(output, "the system call, all faults"));
        if (Files.exists(Path.of("/dev/userfaultfd"))) {
            assertEquals("- /dev/userfaultfd, all faults: EACCES, the mode of the device node does not allow this user to open it"
                    + " | remedy: setfacl -m u:NAME:rw /dev/userfaultfd, or a udev rule", line(output, "/dev/userfaultfd, all faults"));
        }
        assertTrue(line(output, "paging of anonymous memory, INLINE").startsWith("+"), output);
        assertEquals("CAP_SYS_PTRACE: no", line(output, "CAP_SYS_PTRACE"));
    }

    @ParameterizedTest
    @CsvSource({"1, EPERM, a seccomp filter forbids it", "38, ENOSYS, the kernel was built without it"})
    void underASeccompFilter(String errno, String name, String cause) throws Exception {
        Mounts.needed();
        String launcher = ChildJvm.root().resolve("target/test-native/seccomp_launcher").toString();
        String output = examine(new ChildJvm().startedBy(launcher, errno, "--no-device"), FAILED);
        assertWorks(output, false);
        String line = line(output, "the system call, user mode only");
        assertTrue(line.startsWith("- the system call, user mode only: " + name + ", " + cause), line);
        assertEquals(name.equals("EPERM"), line.contains("remedy: a profile that allows userfaultfd"), line);
        assertEquals("seccomp: a filter is active", line(output, "seccomp"));
        assertTrue(output.endsWith("no userfaultfd can be opened\n"), output);
        assertFalse(output.contains("+ paging"), output);
        // The device gets around the filter, for paging too.
        assumeTrue(Files.exists(Path.of("/dev/userfaultfd")), "no /dev/userfaultfd");
        assertWorks(examine(new ChildJvm().startedBy(launcher, errno), 0), true);
    }

    @Test
    void withoutHugePages() throws Exception {
        Mounts.needed();
        String output = examine(new ChildJvm().startedBy(Mounts.tmpfs("ro", Path.of("/sys/kernel/mm"))), 0);
        assertWorks(output, true);
        assertFalse(output.contains("huge pages of"), output);
    }

    @Test
    void whereNoLibraryCanBeExtracted() throws Exception {
        Mounts.needed();
        Path closed = Files.createDirectory(scratch.resolve("closed"));
        String output = examine(new ChildJvm().startedBy(Mounts.tmpfs("noexec", closed)).options("-Djava.io.tmpdir=" + closed), FAILED);
        assertWorks(output, false);
        assertEquals("- native library: the temporary directory " + closed
                + " is mounted noexec, so no library can be loaded from it | remedy: name another directory with"
                + " -Duserfaultfd.library.tmpdir, or a library file with -Duserfaultfd.library.path", line(output, "native library"));
        assertTrue(output.endsWith("the native library cannot be loaded\n"), output);
    }

    @Test
    void whereTheJvmDeniesNativeCode() throws Exception {
        ChildJvm child = new ChildJvm().java(Needs.newerJava())
                .options("--illegal-native-access=deny", "--enable-native-access=java.base");
        String output = examine(child, FAILED);
        assertTrue(line(output, "native library").contains("allow it with --enable-native-access=ALL-UNNAMED"), output);
    }
}
