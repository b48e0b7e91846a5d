// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.support.Needs;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class UffdBuilderTest {
    private static final long O_NONBLOCK = 04000;
    private static final long O_CLOEXEC = 02000000;

    private static long openFlags(Uffd uffd) {
        return Long.parseLong(ProcFiles.field("/proc/self/fdinfo/" + uffd.fd(), "flags").orElseThrow(), 8);
    }

    @Test
    void theExampleOfTheDesignWordForWord() throws Exception {
        try (Uffd uffd = new UffdBuilder()
                .closeOnExec(true)
                .nonBlocking(true)
                .userModeOnly(true)
                .create()) {
            assertEquals(O_NONBLOCK | O_CLOEXEC, openFlags(uffd) & (O_NONBLOCK | O_CLOEXEC));
            assertTrue(uffd.fd() > 2);
        }
    }

    @Test
    void defaultsAreTheKernelsButForUserModeOnly() throws Exception {
        try (Uffd uffd = new UffdBuilder().create()) {
            assertEquals(0, openFlags(uffd) & (O_NONBLOCK | O_CLOEXEC));
            assertEquals(EnumSet.noneOf(Feature.class), uffd.enabledFeatures());
        }
        assertTrue(new UffdBuilder().toString().contains("userModeOnly=true"));
    }

    @ParameterizedTest
    @EnumSource(OpenMethod.class)
    void eachMethodOpens(OpenMethod method) throws Exception {
        boolean possible = method == OpenMethod.AUTO ? Needs.system().canOpen()
                : Needs.system().attempts().stream().anyMatch(each -> each.method() == method && each.opened());
        assumeFalse(!possible, "this system does not open a userfaultfd by " + method);
        try (Uffd uffd = new UffdBuilder().openMethod(method).create()) {
            assertEquals(Needs.system().features(), uffd.features());
        }
    }

    @Test
    void requiredFeaturesAddUpAndAreEnabled() throws Exception {
        Needs.features(Feature.MISSING_SHMEM, Feature.THREAD_ID, Feature.EVENT_REMOVE);
        try (Uffd uffd = new UffdBuilder().requireFeatures(Feature.MISSING_SHMEM)
                .requireFeatures(List.of(Feature.THREAD_ID, Feature.EVENT_REMOVE)).create()) {
            assertEquals(EnumSet.of(Feature.MISSING_SHMEM, Feature.THREAD_ID, Feature.EVENT_REMOVE), uffd.enabledFeatures());
            // The kernel's own record of what is switched on.
            try (Uffd same = Uffd.adopt(uffd.fd())) {
                assertEquals(uffd.enabledFeatures(), same.enabledFeatures());
                same.detach();
            }
        }
    }

    @Test
    void aMissingFeatureIsNamedWithItsKernel() {
        assumeFalse(Needs.system().features().contains(Feature.RWP), "this kernel has every feature that the library knows");
        int before = ProcessState.descriptors();
        UnsupportedFeaturesException e = assertThrows(UnsupportedFeaturesException.class,
                () -> new UffdBuilder().requireFeatures(Feature.SIGBUS, Feature.RWP).create());
        assertEquals(EnumSet.of(Feature.RWP), e.missing());
        assertEquals(Needs.system().features(), e.supported());
        assertTrue(e.getMessage().contains("RWP (Linux 7.3)"), e.getMessage());
        ProcessState.assertDescriptors(before);
    }

    @Test
    void aMissingIoctlIsNamedWithItsKernel() {
        assumeFalse(Needs.system().ioctls().contains(Ioctl.RWPROTECT), "this kernel has every ioctl that the library knows");
        int before = ProcessState.descriptors();
        UnsupportedIoctlsException e = assertThrows(UnsupportedIoctlsException.class,
                () -> new UffdBuilder().requireIoctls(Ioctl.COPY, Ioctl.RWPROTECT).create());
        assertEquals(EnumSet.of(Ioctl.RWPROTECT), e.missing());
        assertTrue(e.supported().contains(Ioctl.COPY));
        assertTrue(e.getMessage().contains("RWPROTECT (Linux 7.3)"), e.getMessage());
        ProcessState.assertDescriptors(before);
    }

    @Test
    void requiredIoctlsOfRangesAreProved() throws Exception {
        try (Uffd uffd = new UffdBuilder().requireIoctls(Ioctl.REGISTER, Ioctl.COPY).requireIoctls(List.of(Ioctl.WAKE)).create()) {
            assertTrue(uffd.ioctls().containsAll(List.of(Ioctl.API, Ioctl.REGISTER, Ioctl.COPY, Ioctl.WAKE)));
        }
    }

    @Test
    void exceptionsNameOperationAndError() {
        UffdException e = new UffdException("create", Abi.EPERM, "", "reason");
        assertEquals("create: EPERM, reason", e.getMessage());
        assertEquals(Abi.EPERM, e.errno());
        assertEquals("create", e.operation());
    }

    @Test
    void nullsAreRefused() {
        UffdBuilder builder = new UffdBuilder();
        assertThrows(NullPointerException.class, () -> builder.openMethod(null));
        assertThrows(NullPointerException.class, () -> builder.requireFeatures((Feature) null));
        assertThrows(NullPointerException.class, () -> builder.requireIoctls((Ioctl) null));
    }

    @Test
    void aBuilderCanBeUsedAgain() throws Exception {
        UffdBuilder builder = new UffdBuilder().nonBlocking(true);
        try (Uffd first = builder.create(); Uffd second = builder.create()) {
            assertFalse(first.fd() == second.fd());
        }
    }

    @Test
    void theProbeLeavesNothingOpenAndKnowsThisKernel() {
        int before = ProcessState.descriptors();
        SystemSupport support = SystemSupport.probe();
        ProcessState.assertDescriptors(before);
        assertEquals(System.getProperty("os.version"), support.kernel());
        assertEquals(4, support.attempts().size());
        assertTrue(support.canOpen(), support.toString());
        assertEquals(support.rawFeatures(), Feature.mask(support.features()) | support.rawFeatures());
        assertTrue(support.ioctls().contains(Ioctl.COPY), support.toString());
    }
}
