// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import java.util.List;

/** Protection of pages that are not there yet: it holds until it is lifted or the page is taken out. */
@Scenario(value = "wp-unpopulated", features = {Feature.PAGEFAULT_FLAG_WP, Feature.WP_UNPOPULATED})
class WpUnpopulatedTest {
    @EachMemory(MemoryKind.ANONYMOUS)
    void markersOfMissingPages(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), Feature.WP_UNPOPULATED))) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            long page = memory.at(0);

            uffd.writeProtect(page, memory.page);
            assertTrue(memory.isWriteProtected(0), "set on a missing page");
            assertFalse(memory.isPresent(0));
            uffd.removeWriteProtection(page, memory.page);
            assertFalse(memory.isWriteProtected(0), "lifted from a missing page");

            uffd.writeProtect(page, memory.page);
            Faults.ok(Faults.madvise(page, memory.page, Faults.MADV_DONTNEED));
            assertFalse(memory.isWriteProtected(0), "MADV_DONTNEED takes the mark out");

            assertEquals(List.of(0L), new Steps().write(page, 1).run());
            assertTrue(memory.isPresent(0));
            assertFalse(memory.isWriteProtected(0), "a page written without a mark has none");
            Faults.ok(Faults.madvise(page, memory.page, Faults.MADV_DONTNEED));

            uffd.writeProtect(page, memory.page);
            assertEquals(List.of(0L), new Steps().read(page).run(), "reading is free");
            assertTrue(memory.isPresent(0));
            assertTrue(memory.isWriteProtected(0), "the zero page that a read brings is protected");
            Faults.ok(Faults.madvise(page, memory.page, Faults.MADV_DONTNEED));
            assertFalse(memory.isWriteProtected(0));
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void writeToAMarkedPageIsReported(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), Feature.WP_UNPOPULATED))) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            uffd.writeProtect(memory.address(), memory.length);
            try (Steps.Job writer = new Steps().write(memory.at(3), 7).read(memory.at(3)).start()) {
                assertEquals(new Event.PageFault(memory.at(3), Event.PageFault.Kind.WRITE_PROTECTED, true, 0),
                        uffd.awaitEvent());
                uffd.removeWriteProtection(memory.at(3), memory.page);
                assertEquals(List.of(0L, 7L), writer.await());
            }
        }
    }
}
