// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.OpenMethod;
import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The handshake, on descriptors of the system call and of the device. */
@Scenario("api")
class ApiTest {
    private static final int UFFDIO = 0xAA;
    private static final long API = 0xAA;
    private static final long UNKNOWN_FEATURE = 1L << 63;

    private static void need(OpenMethod method) {
        SystemSupport.Attempt attempt = Needs.system().attempts().stream()
                .filter(each -> each.method() == method && each.userModeOnly()).findFirst().orElseThrow();
        assumeTrue(attempt.opened(), attempt::toString);
    }

    private static int open(OpenMethod method) {
        need(method);
        return (int) Faults.ok(Faults.openUserfaultfd(method == OpenMethod.DEVICE, Ability.openFlags()));
    }

    @ParameterizedTest
    @EnumSource(names = {"SYSCALL", "DEVICE"})
    void wrongVersionIsRefused(OpenMethod method) {
        int fd = open(method);
        long[] api = {API + 1, 0, 0};
        assertEquals(-Abi.EINVAL, Faults.ioctl(fd, UFFDIO, Abi.IOCTL_API, api));
        assertArrayEquals(new long[3], api, "a refused handshake answers zeros");
        Native.close(fd);
    }

    @ParameterizedTest
    @EnumSource(names = {"SYSCALL", "DEVICE"})
    void unknownFeatureIsRefusedAndNamed(OpenMethod method) {
        need(method);
        Scratch created = new Scratch(Abi.CREATED_LONGS);
        int number = method == OpenMethod.DEVICE ? Abi.OPEN_DEVICE : Abi.OPEN_SYSCALL;
        assertEquals(-Abi.EINVAL,
                created.pass(address -> Native.create(Abi.CREATE_USER_MODE_ONLY, number, UNKNOWN_FEATURE, 0, address)));
        assertEquals(Abi.STAGE_API, created.get(Abi.CREATED_STAGE));
        assertEquals(UNKNOWN_FEATURE, created.get(Abi.CREATED_MISSING_FEATURES));
        assertEquals(Needs.system().rawFeatures(), created.get(Abi.CREATED_FEATURES));
    }

    @ParameterizedTest
    @EnumSource(names = {"SYSCALL", "DEVICE"})
    void secondHandshakeIsRefused(OpenMethod method) {
        int fd = open(method);
        long[] first = {API, 0, 0};
        assertEquals(0, Faults.ioctl(fd, UFFDIO, Abi.IOCTL_API, first));
        // What decides which tests are skipped is the kernel's own answer, of which the library keeps every bit.
        assertEquals(first[1], Needs.system().rawFeatures());
        assertEquals(-Abi.EINVAL, Faults.ioctl(fd, UFFDIO, Abi.IOCTL_API, new long[] {API, 0, 0}));
        Native.close(fd);
    }

    @ParameterizedTest
    @EnumSource(names = {"SYSCALL", "DEVICE"})
    void handshakeTellsFeaturesAndIoctls(OpenMethod method) throws IOException {
        need(method);
        EnumSet<Feature> some = EnumSet.copyOf(Needs.system().features());
        some.remove(Feature.EVENT_FORK);
        assertFalse(some.isEmpty());
        // Not a CoveredUffd: to switch everything on is no use of anything.
        try (Uffd uffd = new UffdBuilder().openMethod(method).requireFeatures(some).create()) {
            assertEquals(some, uffd.enabledFeatures());
            assertEquals(Needs.system().rawFeatures(), uffd.rawFeatures());
            assertTrue(uffd.ioctls().containsAll(Set.of(Ioctl.API, Ioctl.REGISTER, Ioctl.UNREGISTER)));
        }
    }
}
