// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.userfaultfd.internal.Abi;
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

    @Test
    void theDeviceIsForbiddenWhateverItsMode() {
        assertEquals("a device cgroup or a seccomp filter forbids it (remedy: docker run --device=/dev/userfaultfd, or the like,"
                + " or a profile that allows it)", AccessDiagnosis.device(Abi.EPERM));
    }
}
