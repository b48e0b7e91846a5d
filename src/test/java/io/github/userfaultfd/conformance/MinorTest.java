// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.Collections;
import java.util.List;

/** Pages that the page cache has: the handler changes each one through the second mapping and maps it, nothing is copied. */
@Scenario(value = "minor", features = Feature.MINOR_SHMEM)
class MinorTest {
    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void minor(MemoryKind kind) throws Exception {
        Needs.features(kind.minor().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.minor())) {
            uffd.register(memory, RegisterMode.MINOR);
            touchAll(memory, uffd);
        }
    }

    /** What a page contains after the handler changed it. */
    static int changed(int page) {
        return 255 - TestMemory.content(page);
    }

    /** Fills the page cache through the second mapping and reads every page through the registered one. */
    static void touchAll(TestMemory memory, CoveredUffd uffd, ResolveMode... modes) throws IOException {
        TestMemory expected = TestMemory.source(memory);
        try (expected) {
            Steps all = new Steps();
            for (int i = 0; i < memory.pages(); i++) {
                Faults.setMemory(alias(memory, i), memory.page, TestMemory.content(i));
                Faults.setMemory(expected.address() + (long) i * memory.page, memory.page, changed(i));
                all.compare(memory.at(i), expected.address() + (long) i * memory.page, memory.page);
            }
            try (Handler handler = new Handler(uffd, (from, event) -> {
                        Event.PageFault fault = (Event.PageFault) event;
                        assertEquals(Event.PageFault.Kind.MINOR, fault.kind());
                        int index = (int) ((fault.address() - memory.address()) / memory.page);
                        Faults.setMemory(alias(memory, index), memory.page, changed(index));
                        assertEquals(memory.page, from.continueRange(fault.address(), memory.page, modes));
                    });
                    Steps.Job reader = all.start()) {
                assertEquals(Collections.nCopies(memory.pages(), 0L), reader.await());
                assertEquals(memory.pages(), handler.seen().size(), "one fault a page");
            }
        }
    }

    static long alias(TestMemory memory, int page) {
        return memory.alias() + (long) page * memory.page;
    }

    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void resultsOfContinue(MemoryKind kind) throws Exception {
        Needs.features(kind.minor().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.minor())) {
            uffd.register(memory, RegisterMode.MINOR);
            UffdException nothing = assertThrows(UffdException.class, () -> uffd.continueRange(memory.at(0), memory.page));
            assertEquals(Abi.EFAULT, nothing.errno(), "the page cache has no such page");
            Faults.setMemory(memory.alias(), memory.length, 9);
            try (Steps.Job writer = new Steps().write(memory.at(1), 5).read(memory.at(1)).start()) {
                Event.PageFault fault = uffd.awaitEvent(Event.PageFault.class);
                assertEquals(new Event.PageFault(memory.at(1), Event.PageFault.Kind.MINOR, true, 0), fault);
                uffd.continueRange(memory.at(1), memory.page, ResolveMode.DONT_WAKE);
                writer.assertAsleep();
                uffd.wake(memory.at(1), memory.page);
                assertEquals(List.of(0L, 5L), writer.await());
            }
            assertEquals(Uffd.EXISTS, uffd.tryContinueRange(memory.at(1), memory.page));
            assertTrue(uffd.events().isEmpty());
        }
    }
}
