// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.support.Needs;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/** While a REMOVE waits to be read, each ioctl that fills answers EAGAIN and does nothing. */
@Scenario(value = "mmap-changing", features = {Feature.EVENT_REMOVE, Feature.POISON})
class MmapChangingTest {
    private static final int UFFDIO = 0xAA;
    private static final long UNTOUCHED = 77;

    @EachMemory(MemoryKind.SHMEM)
    void sharedMemory(MemoryKind kind) throws Exception {
        Set<Feature> features = CoveredUffd.all(kind.writeProtect(), Feature.EVENT_REMOVE, Feature.POISON);
        features.addAll(kind.missing());
        features.addAll(kind.minor());
        Needs.features(features.toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(features)) {
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.MINOR, RegisterMode.WRITE_PROTECT);
            uffd.copy(memory.at(0), source.at(0), memory.page);
            try (Steps.Job remover = new Steps().madvise(memory.at(0), memory.page, Faults.MADV_REMOVE).start()) {
                assertTrue(uffd.poll(Duration.ofSeconds(5)));
                remover.assertAsleep();
                long to = memory.at(1);
                List<Long> fields = List.of(
                        refused(uffd, Abi.IOCTL_COPY, to, source.at(1), memory.page, 0, UNTOUCHED),
                        refused(uffd, Abi.IOCTL_ZEROPAGE, to, memory.page, 0, UNTOUCHED),
                        refused(uffd, Abi.IOCTL_CONTINUE, to, memory.page, 0, UNTOUCHED),
                        refused(uffd, Abi.IOCTL_POISON, to, memory.page, 0, UNTOUCHED));
                boolean writes = fields.get(0) != UNTOUCHED;
                assertEquals(Collections.nCopies(4, writes ? -(long) Abi.EAGAIN : UNTOUCHED), fields);
                System.out.println("conformance: EAGAIN is " + (writes ? "" : "not ") + "in the field on Linux "
                        + Needs.system().kernel());
                assertEquals(Uffd.AGAIN, uffd.tryCopy(to, source.at(1), memory.page));
                assertEquals(Uffd.AGAIN, uffd.tryZeropage(to, memory.page));
                assertEquals(Uffd.AGAIN, uffd.tryContinueRange(to, memory.page));
                assertEquals(Uffd.AGAIN, uffd.tryPoison(to, memory.page));
                UffdException again = assertThrows(UffdException.class, () -> uffd.copy(to, source.at(1), memory.page));
                assertEquals(Abi.EAGAIN, again.errno());
                again = assertThrows(UffdException.class, () -> uffd.writeProtect(to, memory.page));
                assertEquals(Abi.EAGAIN, again.errno());
                assertEquals(List.of(new Event.Remove(memory.at(0), memory.at(1))), uffd.events());
                remover.awaitZeros();
                assertEquals(memory.page, CoveredUffd.insist(() -> uffd.tryCopy(to, source.at(1), memory.page)));
                memory.assertFilled(1, TestMemory.content(1));
            }
        }
    }

    /** The same with MOVE, which only anonymous memory has. */
    @EachMemory(MemoryKind.ANONYMOUS)
    void anonymousMemory(MemoryKind kind) throws Exception {
        Needs.features(Feature.MOVE);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.EVENT_REMOVE, Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.copy(memory.at(0), source.at(0), memory.page);
            try (Steps.Job remover = new Steps().madvise(memory.at(0), memory.page, Faults.MADV_DONTNEED).start()) {
                assertTrue(uffd.poll(Duration.ofSeconds(5)));
                long field = refused(uffd, Abi.IOCTL_MOVE, memory.at(1), source.at(1), memory.page, 0, UNTOUCHED);
                assertTrue(field == -Abi.EAGAIN || field == UNTOUCHED, () -> "field " + field);
                assertEquals(Uffd.AGAIN, uffd.tryMove(memory.at(1), source.at(1), memory.page));
                assertEquals(List.of(new Event.Remove(memory.at(0), memory.at(1))), uffd.events());
                remover.awaitZeros();
                assertEquals(memory.page, CoveredUffd.insist(() -> uffd.tryMove(memory.at(1), source.at(1), memory.page)));
            }
        }
    }

    /**
     * The raw ioctl: -EAGAIN as its result. Its last field says the same from Linux 6.15 on, and stays as it was before.
     *
     * @return the field
     */
    private static long refused(CoveredUffd uffd, int number, long... argument) {
        assertEquals(-Abi.EAGAIN, Faults.ioctl(uffd.fd(), UFFDIO, number, argument), "ioctl " + number);
        return argument[argument.length - 1];
    }
}
