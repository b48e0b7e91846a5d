// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.PartialTransferException;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import java.util.List;

/** Each missing page is resolved by moving one from elsewhere: the content comes along and the source's page is gone. */
@Scenario(value = "move", features = Feature.MOVE)
class MoveTest {
    @EachMemory(MemoryKind.ANONYMOUS)
    void pageByPage(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            Steps all = new Steps();
            for (int i = 0; i < memory.pages(); i++) {
                all.read(memory.at(i));
            }
            try (Handler handler = new Handler(uffd, (from, event) -> {
                        long offset = ((Event.PageFault) event).address() - memory.address();
                        assertEquals(memory.page, from.move(memory.address() + offset, source.address() + offset, memory.page));
                    });
                    Steps.Job reader = all.start()) {
                List<Long> results = reader.await();
                for (int i = 0; i < memory.pages(); i++) {
                    assertEquals(TestMemory.content(i), results.get(i));
                    memory.assertFilled(i, TestMemory.content(i));
                    assertFalse(source.isPresent(i), "the source's page is gone");
                }
                assertEquals(memory.pages(), handler.seen().size());
            }
            source.assertFilled(0, 0);
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void holesInTheSource(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            Faults.ok(Faults.madvise(source.at(1), source.page, Faults.MADV_DONTNEED));
            long three = 3L * memory.page;
            PartialTransferException partly = assertThrows(PartialTransferException.class,
                    () -> uffd.move(memory.at(0), source.at(0), three));
            assertEquals(memory.page, partly.transferred());
            UffdException hole = assertThrows(UffdException.class, () -> uffd.move(memory.at(1), source.at(1), memory.page));
            assertEquals(Abi.ENOENT, hole.errno());
            long two = 2L * memory.page;
            assertEquals(two, uffd.move(memory.at(1), source.at(1), two, ResolveMode.ALLOW_SOURCE_HOLES));
            assertFalse(memory.isPresent(1), "a hole is left missing");
            memory.assertFilled(2, TestMemory.content(2));
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void withoutWaking(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(5)).start()) {
                uffd.awaitEvent(Event.PageFault.class);
                uffd.move(memory.at(5), source.at(5), memory.page, ResolveMode.DONT_WAKE);
                assertTrue(memory.isPresent(5));
                reader.assertAsleep();
                uffd.wake(memory.at(5), memory.page);
                assertEquals(List.of((long) TestMemory.content(5)), reader.await());
            }
            assertEquals(Uffd.EXISTS, uffd.tryMove(memory.at(5), source.at(6), memory.page));
        }
    }
}
