// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.time.Duration;
import java.util.Collections;

/** Memory that moves without a remap event leaves its protection behind, on every page, and is not registered any more. */
@Scenario(value = "wp-mremap", features = Feature.PAGEFAULT_FLAG_WP, abilities = Ability.PROTECTION_IN_PAGEMAP)
class WpMremapTest {
    @EachMemory
    void protectionIsGone(MemoryKind kind) throws Exception {
        Needs.features(kind.writeProtect());
        TestMemory.needMovable(kind);
        try (TestMemory memory = TestMemory.raw(kind); CoveredUffd uffd = CoveredUffd.open(kind.writeProtect())) {
            // The last page stays missing: files have a marker there.
            Faults.setMemory(memory.address(), memory.length - memory.page, 1);
            moveAndWrite(memory, uffd, memory.pages() - 1);
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void ofATransparentHugePage(MemoryKind kind) throws Exception {
        long huge = ThpSupport.size();
        try (TestMemory memory = TestMemory.alignedForHugePages(kind, huge, huge);
                CoveredUffd uffd = CoveredUffd.open(kind.writeProtect())) {
            Faults.ok(Faults.madvise(memory.address(), huge, Faults.MADV_HUGEPAGE));
            Faults.setMemory(memory.address(), huge, 1);
            assumeTrue(ThpSupport.hugeBytes(memory.address(), "AnonHugePages") == huge,
                    "the system had no transparent huge page to give");
            moveAndWrite(memory, uffd, memory.pages());
        }
    }

    private static void moveAndWrite(TestMemory memory, CoveredUffd uffd, int populated) throws IOException {
        uffd.register(memory, RegisterMode.WRITE_PROTECT);
        uffd.writeProtect(memory.address(), memory.length);
        for (int i = 0; i < memory.pages(); i++) {
            assertEquals(i < populated || memory.kind.isFile(), memory.isWriteProtected(i), "page " + i + " before");
        }
        long elsewhere = memory.reserve();
        Faults.ok(Faults.mremap(memory.address(), memory.length, elsewhere));
        memory.movedTo(elsewhere);
        Steps writes = new Steps();
        for (int i = 0; i < memory.pages(); i++) {
            assertFalse(memory.isWriteProtected(i), "page " + i + " after");
            writes.write(memory.at(i), 2);
        }
        assertEquals(Collections.nCopies(memory.pages(), 0L), writes.run(), "writing is free");
        assertFalse(uffd.poll(Duration.ZERO), "and nobody hears of it");
        assertTrue(memory.isPresent(0));
    }
}
