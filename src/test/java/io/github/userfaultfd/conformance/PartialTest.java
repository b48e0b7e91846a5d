// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.PartialTransferException;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;

/** A fill over [missing, present, missing] does the first page, says so, and says where to go on. */
@Scenario("partial results")
class PartialTest {
    /** One form of an ioctl over a number of bytes at the beginning of a page. */
    private interface Fill {
        long run(int page, long length) throws IOException;
    }

    private static void stopsAtThePresentPage(TestMemory memory, Fill fill, Fill tryFill) throws IOException {
        long three = 3L * memory.page;
        PartialTransferException partly = assertThrows(PartialTransferException.class, () -> fill.run(0, three));
        assertEquals(memory.page, partly.transferred(), "exactly one page");
        assertFalse(memory.isPresent(2), "nothing behind the present page");
        int goOn = (int) (partly.transferred() / memory.page);
        assertEquals(Uffd.EXISTS, tryFill.run(goOn, three - partly.transferred()), "asked again, it says why");
        assertEquals(memory.page, tryFill.run(goOn + 1, memory.page));
        // The form without exceptions, over [missing, present]: the same in a number.
        assertEquals(memory.page, fill.run(goOn + 3, memory.page));
        assertEquals(memory.page, tryFill.run(goOn + 2, 2L * memory.page));
    }

    @EachMemory
    void copy(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind, 6);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.copy(memory.at(1), source.at(0), memory.page);
            long from = source.address();
            stopsAtThePresentPage(memory,
                    (page, length) -> uffd.copy(memory.at(page), from + (long) page * memory.page, length),
                    (page, length) -> uffd.tryCopy(memory.at(page), from + (long) page * memory.page, length));
            memory.assertFilled(0, TestMemory.content(0));
            memory.assertFilled(1, TestMemory.content(0));
            memory.assertFilled(2, TestMemory.content(2));
        }
    }

    @EachMemory({MemoryKind.ANONYMOUS, MemoryKind.SHMEM, MemoryKind.SHMEM_PRIVATE})
    void zeropage(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind, 6); CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.zeropage(memory.at(1), memory.page);
            stopsAtThePresentPage(memory, (page, length) -> uffd.zeropage(memory.at(page), length),
                    (page, length) -> uffd.tryZeropage(memory.at(page), length));
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void move(MemoryKind kind) throws Exception {
        Needs.features(Feature.MOVE);
        try (TestMemory memory = TestMemory.of(kind, 6);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.zeropage(memory.at(1), memory.page);
            stopsAtThePresentPage(memory, (page, length) -> uffd.move(memory.at(page), source.at(page), length),
                    (page, length) -> uffd.tryMove(memory.at(page), source.at(page), length));
        }
    }

    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void continueRange(MemoryKind kind) throws Exception {
        Needs.features(kind.minor().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind, 6); CoveredUffd uffd = CoveredUffd.open(kind.minor())) {
            uffd.register(memory, RegisterMode.MINOR);
            Faults.setMemory(memory.alias(), memory.length, 1);
            uffd.continueRange(memory.at(1), memory.page);
            stopsAtThePresentPage(memory, (page, length) -> uffd.continueRange(memory.at(page), length),
                    (page, length) -> uffd.tryContinueRange(memory.at(page), length));
        }
    }

    @EachMemory
    void poison(MemoryKind kind) throws Exception {
        Needs.features(Feature.POISON);
        try (TestMemory memory = TestMemory.of(kind, 6);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.POISON))) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.copy(memory.at(1), source.at(0), memory.page);
            stopsAtThePresentPage(memory, (page, length) -> uffd.poison(memory.at(page), length),
                    (page, length) -> uffd.tryPoison(memory.at(page), length));
        }
    }
}
