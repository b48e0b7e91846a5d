// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.OrdinaryUser;
import io.github.userfaultfd.support.Trees;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a user without any right can do, and what is said about the rest. */
class OrdinaryUserTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    @TempDir
    Path scratch;

    private OrdinaryUser user;

    @BeforeEach
    void ordinaryUser() throws Exception {
        user = new OrdinaryUser(scratch);
    }

    private String open(boolean userModeOnly, String method) throws Exception {
        String output = user.child().run(DEADLINE, OpenUffd.class, String.valueOf(userModeOnly), method).assertExit(0).output();
        assertEquals(List.of(), Trees.names(user.tmpdir()));
        return output;
    }

    private static void assertSays(String output, String... parts) {
        for (String each : parts) {
            assertTrue(output.contains(each), () -> "'" + each + "' is not in: " + output);
        }
    }

    @Test
    void faultsOfUserModeNeedNoRight() throws Exception {
        assertTrue(open(true, "AUTO").startsWith("opened: true\n"));
        assertTrue(open(true, "SYSCALL").startsWith("opened: true\n"));
    }

    @Test
    void allFaultsNeedOneOfThreeRightsAndTheMessageNamesThem() throws Exception {
        OrdinaryUser.needsClosedDevice();
        OrdinaryUser.needsClosedSetting();
        String output = open(false, "AUTO");
        assertSays(output.lines().findFirst().orElseThrow(), "errno 1: create with userModeOnly(false): EPERM, ",
                "/dev/userfaultfd: EACCES, the mode of the device node does not allow this user to open it",
                "the system call: EPERM, this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0",
                "remedy: userModeOnly(true), or the capability, or sysctl vm.unprivileged_userfaultfd=1");
        assertSays(output, "\nDEVICE, all faults: EACCES, the mode ", "\nSYSCALL, all faults: EPERM, this process lacks ",
                "\nSYSCALL, user mode only: opens\n");
    }

    @Test
    void theDeviceAloneNeedsItsMode() throws Exception {
        OrdinaryUser.needsClosedDevice();
        String first = open(true, "DEVICE").lines().findFirst().orElseThrow();
        assertSays(first, "errno 13: create: EACCES, /dev/userfaultfd: EACCES, ",
                "the mode of the device node does not allow this user to open it",
                "remedy: setfacl -m u:NAME:rw /dev/userfaultfd");
        assertFalse(first.contains("the system call"), first);
    }

    @Test
    void theSystemCallAloneSaysNothingOfTheDevice() throws Exception {
        OrdinaryUser.needsClosedSetting();
        String first = open(false, "SYSCALL").lines().findFirst().orElseThrow();
        assertSays(first, "the system call: EPERM, this process lacks CAP_SYS_PTRACE");
        assertFalse(first.contains("/dev/userfaultfd"), first);
    }

    /** Root in a container: every right but this one. */
    @Test
    void oneMissingCapabilityIsFound() throws Exception {
        OrdinaryUser.needsClosedSetting();
        String[] arguments = {"false", "SYSCALL"};
        String output = new ChildJvm().startedBy("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
                .run(DEADLINE, OpenUffd.class, arguments).assertExit(0).output();
        assertSays(output.lines().findFirst().orElseThrow(), "the system call: EPERM, this process lacks CAP_SYS_PTRACE");
        output = new ChildJvm().run(DEADLINE, OpenUffd.class, arguments).assertExit(0).output();
        assertTrue(output.startsWith("opened: true\n"), output);
    }

    @Test
    void pagingNeedsNoRight() throws Exception {
        byte[] bytes = new byte[3_000_001];
        new Random(2).nextBytes(bytes);
        Path file = Trees.copy(Files.write(scratch.resolve("private"), bytes), scratch.resolve("file"), each -> true);
        ChildJvm.Result result = user.child().run(DEADLINE, PagesFile.class, file.toString());
        assertEquals("equal: true, by faults: true\n", result.assertExit(0).output());
        assertEquals(List.of(), Trees.names(user.tmpdir()));
    }
}
