// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.support.Needs;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** CONTINUE that maps a page write-protected: the reader goes on, and the next write is a fault of its own. */
@Scenario(value = "minor-wp", features = {Feature.PAGEFAULT_FLAG_WP, Feature.WP_HUGETLBFS_SHMEM},
        abilities = Ability.CONTINUE_WRITE_PROTECTED)
class MinorWpTest {
    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void minorThenWriteProtect(MemoryKind kind) throws Exception {
        Set<Feature> features = EnumSet.copyOf(kind.writeProtect());
        features.addAll(kind.minor());
        Needs.features(features.toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features)) {
            uffd.register(memory, RegisterMode.MINOR, RegisterMode.WRITE_PROTECT);
            MinorTest.touchAll(memory, uffd, ResolveMode.WRITE_PROTECT);
            for (int i = 0; i < memory.pages(); i++) {
                assertTrue(memory.isWriteProtected(i), "page " + i);
            }
            try (Steps.Job writer = new Steps().write(memory.at(2), 77).read(memory.at(2)).start()) {
                Event.PageFault fault = uffd.awaitEvent(Event.PageFault.class);
                assertEquals(new Event.PageFault(memory.at(2), Event.PageFault.Kind.WRITE_PROTECTED, true, 0), fault);
                uffd.removeWriteProtection(memory.at(2), memory.page, ResolveMode.DONT_WAKE);
                writer.assertAsleep();
                uffd.wake(memory.at(2), memory.page);
                assertEquals(List.of(0L, 77L), writer.await());
            }
            assertFalse(memory.isWriteProtected(2));
        }
    }
}
