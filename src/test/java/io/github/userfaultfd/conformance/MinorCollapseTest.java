// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.internal.Errno;
import java.util.Collections;

/**
 * Shared pages that were mapped by CONTINUE are collapsed to a huge page through the second mapping: no byte changes. The
 * kernel takes the table of small pages away from the registered mapping, so that the huge page is one minor fault there.
 */
@Scenario(value = "minor-collapse", features = Feature.MINOR_SHMEM, abilities = Ability.TRANSPARENT_HUGE_PAGES)
class MinorCollapseTest {
    @EachMemory(MemoryKind.SHMEM)
    void collapseBelow(MemoryKind kind) throws Exception {
        long huge = ThpSupport.size();
        try (TestMemory memory = TestMemory.alignedForHugePages(kind, huge, huge);
                CoveredUffd uffd = CoveredUffd.open(Feature.MINOR_SHMEM)) {
            uffd.register(memory, RegisterMode.MINOR);
            MinorTest.touchAll(memory, uffd);
            int collapsed = Faults.madvise(memory.alias(), memory.length, Faults.MADV_COLLAPSE);
            assumeTrue(collapsed == 0, () -> "MADV_COLLAPSE of shared memory: " + Errno.name(-collapsed));
            assertEquals(huge, ThpSupport.hugeBytes(memory.alias(), "ShmemPmdMapped"));
            try (Handler handler = new Handler(uffd, (from, event) -> from.continueRange(memory.address(), memory.length))) {
                Steps all = new Steps();
                try (TestMemory expected = TestMemory.source(memory)) {
                    for (int i = 0; i < memory.pages(); i++) {
                        Faults.setMemory(expected.at(i), memory.page, MinorTest.changed(i));
                        all.compare(memory.at(i), expected.at(i), memory.page);
                    }
                    assertEquals(Collections.nCopies(memory.pages(), 0L), all.run());
                }
                // The table is taken away once more, later, by a kernel that could not have the lock for it while it collapsed
                // (mm/khugepaged.c, khugepaged_add_pte_mapped_thp, Linux 6.1).
                assertTrue(handler.seen().size() <= 2, handler.seen()::toString);
            }
        }
    }
}
