// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Mounts;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.OrdinaryUser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is said under a seccomp filter, such as that of a container. */
class SeccompTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int EPERM = 1;
    private static final int ENOSYS = 38;
    private static final String REMEDY = " (remedy: a profile that allows userfaultfd, or give the container /dev/userfaultfd)";
    private static final String FILTER = "EPERM, a seccomp filter forbids it, as Docker's default profile does" + REMEDY;
    private static final String HIDDEN = "ENOSYS, a seccomp filter hides it" + REMEDY;

    private static String launcher() {
        Path launcher = ChildJvm.root().resolve("target/test-native/seccomp_launcher");
        assertTrue(Files.isExecutable(launcher), () -> launcher + " is not there; 'make test' builds it");
        return launcher.toString();
    }

    private static String open(int errno, boolean device, boolean userModeOnly) throws Exception {
        ChildJvm child = new ChildJvm().startedBy(launcher(), String.valueOf(errno));
        if (!device) {
            child.startedBy("--no-device");
        }
        return child.run(DEADLINE, OpenUffd.class, String.valueOf(userModeOnly), "AUTO").assertExit(0).output();
    }

    private static void assertSays(String output, String part) {
        assertTrue(output.contains(part), () -> "'" + part + "' is not in: " + output);
    }

    @ParameterizedTest
    @CsvSource({"true, create", "false, create with userModeOnly(false)"})
    void aFilterWithEpermIsNamed(boolean userModeOnly, String operation) throws Exception {
        Mounts.needed();
        String output = open(EPERM, false, userModeOnly);
        String first = output.lines().findFirst().orElseThrow();
        assertTrue(first.startsWith("errno " + EPERM + ": " + operation + ": EPERM, /dev/userfaultfd: "), first);
        assertTrue(first.endsWith("; the system call: " + FILTER), first);
        assertSays(output, "\nSYSCALL, user mode only: " + FILTER + "\n");
        assertFalse(output.contains("opens"), output);
    }

    @Test
    void aFilterWithEnosysIsNamed() throws Exception {
        Mounts.needed();
        String output = open(ENOSYS, false, true);
        String first = output.lines().findFirst().orElseThrow();
        assertTrue(first.startsWith("errno " + ENOSYS + ": create: ENOSYS, /dev/userfaultfd: "), first);
        assertTrue(first.endsWith("; the system call: " + HIDDEN), first);
        assertSays(output, "\nSYSCALL, all faults: " + HIDDEN + "\n");
    }

    @ParameterizedTest
    @ValueSource(ints = {EPERM, ENOSYS})
    void theDeviceGetsAroundTheFilter(int errno) throws Exception {
        Needs.root();
        assumeTrue(Files.exists(Path.of("/dev/userfaultfd")), "no /dev/userfaultfd");
        String output = open(errno, true, false);
        assertTrue(output.startsWith("opened: true\n"), output);
        assertSays(output, "\nDEVICE, all faults: opens\n");
        String answer = errno == EPERM ? FILTER : HIDDEN;
        assertSays(output, "\nSYSCALL, user mode only: " + answer + "\n");
        assertSays(output, "\nSYSCALL, all faults: " + answer + "\n");
    }

    /** Without the right the kernel says EPERM as well: the filter must not come as a surprise once the right is there. */
    @Test
    void bothTheMissingRightAndTheFilterAreNamed(@TempDir Path scratch) throws Exception {
        Mounts.needed();
        OrdinaryUser.needsClosedSetting();
        OrdinaryUser user = new OrdinaryUser(scratch);
        ChildJvm child = user.child(launcher(), String.valueOf(EPERM), "--no-device");
        String first = child.run(DEADLINE, OpenUffd.class, "false", "AUTO").assertExit(0).output()
                .lines().findFirst().orElseThrow();
        assertSays(first, "this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0");
        assertSays(first, "a seccomp filter is active, too, and may forbid it whatever the rights are");
    }
}
