// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.OpenMethod;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What bites users of userfaultfd: sandboxes, rights, and kernels that were built without something. */
@Scenario("behaviour: systems")
class BehaviourOfSystemsTest {
    private static final int SOME_USER = 65534;

    private static UffdException refusedUnderFilter(int errno) throws Exception {
        Needs.root();
        return Refused.inThreadOfItsOwn(() -> {
            Faults.ok(Faults.refuseSystemCall(Faults.userfaultfdNumber(), errno));
            return Refused.with(errno, () -> new UffdBuilder().openMethod(OpenMethod.SYSCALL).create().close());
        });
    }

    /** 9. gVisor and some containers' profiles answer ENOSYS. */
    @Test
    void sandboxWithoutTheCall() throws Exception {
        UffdException refused = refusedUnderFilter(Abi.ENOSYS);
        assertTrue(refused.getMessage().contains("seccomp filter hides it"), refused::getMessage);
    }

    /** 9. Docker's default profile answers EPERM. */
    @Test
    void containerProfile() throws Exception {
        UffdException refused = refusedUnderFilter(Abi.EPERM);
        assertTrue(refused.getMessage().contains("seccomp filter forbids it"), refused::getMessage);
    }

    /** 9. A device node without rights answers EACCES, and AUTO then takes the system call. */
    @Test
    void deviceNodeWithoutRights() throws Exception {
        Needs.root();
        assumeTrue(Needs.system().attempts().stream().anyMatch(each -> each.method() == OpenMethod.DEVICE && each.opened()),
                "this system has no /dev/userfaultfd");
        UffdException refused = Refused.inThreadOfItsOwn(() -> {
            Faults.ok(Faults.becomeUser(SOME_USER));
            new UffdBuilder().openMethod(OpenMethod.AUTO).create().close();
            return Refused.with(Abi.EACCES, () -> new UffdBuilder().openMethod(OpenMethod.DEVICE).create().close());
        });
        assertTrue(refused.getMessage().contains("mode of the device node"), refused::getMessage);
    }

    /** 10. and 12. A feature bit can lie: so the thing is done once, on this processor and this kernel. */
    @EachMemory
    void writeProtectionReallyHappens(MemoryKind kind) throws IOException {
        Set<Feature> lacking = kind.writeProtect();
        lacking.removeAll(Needs.system().features());
        assumeTrue(lacking.isEmpty(), "Linux " + Needs.system().kernel() + " lacks " + lacking);
        if (!Needs.system().writeProtects()) {
            writeProtectionDoesNotHappen(kind);
            return;
        }
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.writeProtect())) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            new Steps().write(memory.at(0), 1).run();
            uffd.writeProtect(memory.at(0), memory.page);
            try (Steps.Job writer = new Steps().write(memory.at(0), 2).start()) {
                assertEquals(new Event.PageFault(memory.at(0), Event.PageFault.Kind.WRITE_PROTECTED, true, 0),
                        uffd.awaitEvent());
                uffd.removeWriteProtection(memory.at(0), memory.page, ResolveMode.DONT_WAKE);
                writer.assertAsleep();
                uffd.wake(memory.at(0), memory.page);
                writer.awaitZeros();
            }
        }
    }

    /** Where the library's probe says that the bit lies, it does. */
    private static void writeProtectionDoesNotHappen(MemoryKind kind) throws IOException {
        try (TestMemory memory = TestMemory.of(kind);
                Uffd uffd = new UffdBuilder().nonBlocking(true).requireFeatures(kind.writeProtect()).create()) {
            uffd.register(memory.address(), memory.length, RegisterMode.WRITE_PROTECT);
            new Steps().write(memory.at(0), 1).run();
            uffd.writeProtect(memory.at(0), memory.page);
            assertEquals(List.of(0L, 2L), new Steps().write(memory.at(0), 2).read(memory.at(0)).run());
            assertEquals(Optional.empty(), uffd.readEvent());
        }
    }

    /** 11. What a kernel lacks is found by asking it, and named with the version that brought it. */
    @Test
    void missingFeaturesAreNamed() {
        Set<Feature> lacking = java.util.EnumSet.allOf(Feature.class);
        lacking.removeAll(Needs.system().features());
        assumeFalse(lacking.isEmpty(), "this kernel has every feature that the library knows");
        UnsupportedFeaturesException refused = assertThrows(UnsupportedFeaturesException.class,
                () -> new UffdBuilder().requireFeatures(Feature.THREAD_ID).requireFeatures(lacking).create().close());
        assertEquals(lacking, refused.missing());
        assertEquals(Needs.system().features(), refused.supported());
        for (Feature each : lacking) {
            assertTrue(refused.getMessage().contains(each + " (Linux " + each.since() + ")"), refused::getMessage);
        }
    }

    /** A forked child's mapping is not registered: it would put zeros into shared memory where its parent's pages are missing. */
    @Test
    void aForkedChildHasNoPagedRegion() throws Exception {
        long page = Needs.system().pageSize();
        try (MemoryRegion region = MemoryRegion.shared(4 * page)) {
            Steps looks = new Steps().madvise(region.address(), page, Faults.MADV_DONTNEED);
            Pager pager = Pager.of(region, PageSource.zeros()).start();
            try (Steps.Job child = looks.fork()) {
                assertEquals(List.of((long) -Abi.ENOMEM), child.await(), "nothing is mapped there");
            }
            pager.close();
            try (Steps.Job child = looks.fork()) {
                assertEquals(List.of(0L), child.await(), "when nobody pages it any more");
            }
        }
    }
}
