// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Tracing;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Causes and remedies where this system cannot be made to answer so; the others are seen in child JVMs. */
class AccessDiagnosisTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "true | true | a seccomp filter hides it"
                + " (remedy: a profile that allows userfaultfd, or give the container /dev/userfaultfd)",
        "true | false | a sandbox hides it from this process (remedy: leave it, or have it give /dev/userfaultfd)",
        "false | true | the kernel was built without it, or a sandbox (gVisor, a seccomp filter) hides it"
                + " (remedy: a kernel with CONFIG_USERFAULTFD, which gVisor's is not, and a profile that allows userfaultfd)",
        "false | false | the kernel was built without it, or a sandbox (gVisor) hides it"
                + " (remedy: a kernel with CONFIG_USERFAULTFD, which gVisor's is not)"})
    void theCallIsNotThere(boolean built, boolean filtered, String diagnosis) {
        assertEquals(diagnosis, AccessDiagnosis.hidden(built, filtered));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "false | FORBIDDEN | this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0",
        "false | ONLY_IN_NAMESPACE | this process has CAP_SYS_PTRACE only in a user namespace of its own, which does not count,"
                + " and vm.unprivileged_userfaultfd is 0",
        "false | ALLOWED | a security module of this system forbids it",
        "true | FORBIDDEN | a security module of this system forbids it; before Linux 5.11 it may be vm.unprivileged_userfaultfd=0, too",
        "true | ALLOWED | a security module of this system forbids it"})
    void theCallIsNotPermitted(boolean userModeOnly, Tracing tracing, String cause) {
        String diagnosis = AccessDiagnosis.notPermitted(userModeOnly, tracing, "0", false);
        assertEquals(cause, diagnosis.replaceFirst(" \\(remedy: ([^()]|\\([^()]*\\))*\\)", ""));
    }

    @Test
    void theDeviceIsForbiddenWhateverItsMode() {
        assertEquals("a device cgroup or a seccomp filter forbids it (remedy: docker run --device=/dev/userfaultfd, or the like,"
                + " or a profile that allows it)", AccessDiagnosis.device(Abi.EPERM));
    }
}
