// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.BitSet;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** Read-write protection: the next access to a page is a fault, or a note for PAGEMAP_SCAN. */
@Scenario(value = "rwp", features = Feature.RWP)
class RwpTest {
    private static final Event.PageFault.Kind PROTECTED = Event.PageFault.Kind.READ_WRITE_PROTECTED;

    /** All pages but the last are filled, registered and protected. */
    private static CoveredUffd protect(TestMemory memory, Feature... more) throws IOException {
        Set<Feature> features = CoveredUffd.all(memory.kind.missing(), more);
        features.add(Feature.RWP);
        CoveredUffd uffd = CoveredUffd.open(features);
        for (int i = 0; i < memory.pages() - 1; i++) {
            assertEquals(0, new Steps().write(memory.at(i), TestMemory.content(i)).run().get(0));
        }
        uffd.register(memory, RegisterMode.READ_WRITE_PROTECT);
        uffd.readWriteProtect(memory.address(), memory.length);
        return uffd;
    }

    @EachMemory
    void readsAndWritesAreReported(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = protect(memory)) {
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                assertEquals(new Event.PageFault(memory.at(0), PROTECTED, false, 0), uffd.awaitEvent());
                uffd.removeReadWriteProtection(memory.at(0), memory.page);
                assertEquals(List.of((long) TestMemory.content(0)), reader.await());
            }
            try (Steps.Job writer = new Steps().write(memory.at(1), 9).read(memory.at(1)).start()) {
                assertEquals(new Event.PageFault(memory.at(1), PROTECTED, true, 0), uffd.awaitEvent());
                uffd.removeReadWriteProtection(memory.at(1), memory.page, ResolveMode.DONT_WAKE);
                writer.assertAsleep();
                uffd.wake(memory.at(1), memory.page);
                assertEquals(List.of(0L, 9L), writer.await());
            }
            int missing = memory.pages() - 1;
            assertEquals(List.of(0L), new Steps().read(memory.at(missing)).run(), "a missing page is not protected");
            assertTrue(uffd.events().isEmpty());
        }
    }

    @EachMemory
    void systemCallsFail(MemoryKind kind) throws Exception {
        Ability.USER_MODE_ONLY.need();
        int[] pipe = new int[2];
        Faults.ok(Faults.pipe(pipe));
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = protect(memory)) {
            assertEquals(List.of((long) -Abi.EFAULT), new Steps().writeFile(pipe[1], memory.at(0), 1).run());
            uffd.removeReadWriteProtection(memory.at(0), memory.page);
            assertEquals(List.of(1L), new Steps().writeFile(pipe[1], memory.at(0), 1).run());
        } finally {
            Native.close(pipe[0]);
            Native.close(pipe[1]);
        }
    }

    /** Nobody waits; the scan tells who was not touched. */
    @EachMemory
    void idlePagesAreFound(MemoryKind kind) throws Exception {
        Needs.features(Feature.RWP_ASYNC);
        try (TestMemory memory = TestMemory.of(kind);
                PageScan scan = new PageScan();
                CoveredUffd uffd = protect(memory, Feature.RWP_ASYNC)) {
            BitSet idle = new BitSet();
            idle.set(0, memory.pages() - 1);
            assertEquals(idle, scan.idle(memory));
            assertEquals(List.of((long) TestMemory.content(1), 0L),
                    new Steps().read(memory.at(1)).write(memory.at(2), 5).run());
            idle.clear(1, 3);
            assertEquals(idle, scan.idle(memory), "one was read, one was written");
            uffd.readWriteProtect(memory.address(), memory.length);
            idle.set(1, 3);
            assertEquals(idle, scan.idle(memory), "armed again");
            assertTrue(uffd.events().isEmpty());
        }
    }

    @EachMemory
    void modeIsSwitchedWhileRunning(MemoryKind kind) throws Exception {
        Needs.features(Feature.RWP_ASYNC);
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = protect(memory, Feature.RWP_ASYNC)) {
            assertEquals(List.of((long) TestMemory.content(0)), new Steps().read(memory.at(0)).run());
            uffd.setMode(Set.of(), Set.of(Feature.RWP_ASYNC));
            try (Steps.Job reader = new Steps().read(memory.at(1)).start()) {
                assertEquals(new Event.PageFault(memory.at(1), PROTECTED, false, 0), uffd.awaitEvent());
                uffd.removeReadWriteProtection(memory.at(1), memory.page);
                assertEquals(List.of((long) TestMemory.content(1)), reader.await());
            }
            uffd.setMode(Set.of(Feature.RWP_ASYNC), Set.of());
            assertEquals(List.of((long) TestMemory.content(2)), new Steps().read(memory.at(2)).run());
            assertTrue(uffd.events().isEmpty());
            Refused.with(Abi.EINVAL, () -> uffd.setMode(Set.of(Feature.SIGBUS), Set.of()));
        }
    }

    /** Both kinds of protection have one mark in a page's entry. */
    @EachMemory
    void notTogetherWithWriteProtection(MemoryKind kind) throws Exception {
        EnumSet<Feature> features = EnumSet.copyOf(kind.writeProtect());
        features.add(Feature.RWP);
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features)) {
            Refused.with(Abi.EINVAL,
                    () -> uffd.register(memory, RegisterMode.READ_WRITE_PROTECT, RegisterMode.WRITE_PROTECT));
            assertTrue(uffd.register(memory, RegisterMode.READ_WRITE_PROTECT).contains(Ioctl.RWPROTECT));
        }
    }
}
