// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.Set;

/** A child forked without a fork event has none of its parent's write protection. */
@Scenario(value = "wp-fork", features = Feature.PAGEFAULT_FLAG_WP, abilities = Ability.PROTECTION_IN_PAGEMAP)
class WpForkTest {
    @EachMemory
    void withoutEvent(MemoryKind kind) throws Exception {
        needRightMarks(kind);
        forkAndCompare(kind, false);
    }

    /** Linux 6.1 does it wrong and 6.12 right; WP_UNPOPULATED lies between. */
    static void needRightMarks(MemoryKind kind) {
        assumeTrue(kind != MemoryKind.HUGETLB_PRIVATE || Needs.workingFeatures().contains(Feature.WP_UNPOPULATED),
                "kernels without WP_UNPOPULATED leave wrong marks of private huge pages to a forked child");
    }

    /** Whether a page's entry in the child's page table is marked, for a page that is there and one that is not. */
    static void forkAndCompare(MemoryKind kind, boolean withEvent) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = open(kind, withEvent)) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            assertEquals(0, new Steps().write(memory.at(0), 1).run().get(0));
            uffd.writeProtect(memory.address(), memory.length);
            assertTrue(memory.isWriteProtected(0));
            assertEquals(withEvent, protectedInChild(uffd, withEvent, new Steps().pagemap(memory.at(0))),
                    "a page that is there");
            assertTrue(memory.isWriteProtected(0), "the parent keeps its protection");

            // Missing pages of files are marked; those of anonymous memory are not, without WP_UNPOPULATED.
            assertEquals(kind.isFile(), memory.isWriteProtected(1));
            assertEquals(withEvent && kind.isFile(),
                    protectedInChild(uffd, withEvent, new Steps().pagemap(memory.at(1))), "a missing page");

            uffd.removeWriteProtection(memory.address(), memory.length);
            assertEquals(false, protectedInChild(uffd, withEvent, new Steps().pagemap(memory.at(0))), "after the protection");
        }
    }

    static CoveredUffd open(MemoryKind kind, boolean withEvent) throws IOException {
        Set<Feature> features = kind.writeProtect();
        if (withEvent) {
            features.add(Feature.EVENT_FORK);
        }
        Needs.features(features.toArray(new Feature[0]));
        return CoveredUffd.open(features);
    }

    /** Forks a child that ends with reading a page's entry; with an event, the child's descriptor lives as long as it. */
    static boolean protectedInChild(CoveredUffd uffd, boolean withEvent, Steps steps) throws IOException {
        try (Steps.Job child = steps.fork(); Uffd childs = withEvent ? uffd.awaitEvent(Event.Fork.class).uffd() : null) {
            child.await();
            assertEquals(0, child.childStatus());
            assertTrue(childs == null || childs.fd() != uffd.fd());
            long entry = child.result(steps.size() - 1);
            assertTrue(entry != Steps.NOT_RUN, "the child did not get there");
            return TestMemory.isWriteProtected(entry);
        }
    }
}
