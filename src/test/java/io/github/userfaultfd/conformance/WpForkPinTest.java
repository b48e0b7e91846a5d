// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;

/**
 * The same when a page is pinned: fork(2) copies a private page that is pinned at once, and a child's read-only pin makes a
 * copy of a page that it shares. Neither may lose the mark, or invent one.
 */
@Scenario(value = "wp-fork-pin", features = Feature.PAGEFAULT_FLAG_WP, abilities = Ability.PROTECTION_IN_PAGEMAP)
class WpForkPinTest {
    @EachMemory
    void withoutEvent(MemoryKind kind) throws Exception {
        forkWithPins(kind, false);
    }

    static void forkWithPins(MemoryKind kind, boolean withEvent) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = WpForkTest.open(kind, withEvent)) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            assertEquals(0, new Steps().write(memory.at(0), 1).run().get(0));
            int pin = Faults.pin(memory.at(0), TestMemory.PAGE);
            assumeTrue(pin >= 0, () -> "a page cannot be pinned: io_uring answers " + Errno.name(-pin));
            try {
                uffd.writeProtect(memory.address(), memory.page);
                assertEquals(withEvent, WpForkTest.protectedInChild(uffd, withEvent, new Steps().pagemap(memory.at(0))),
                        "a page pinned before the fork");
                assertTrue(memory.isWriteProtected(0), "the parent keeps its protection");
            } finally {
                Native.close(pin);
            }
            Steps pinInChild = new Steps().pinShortly(memory.at(0), TestMemory.PAGE).pagemap(memory.at(0));
            assertEquals(withEvent, WpForkTest.protectedInChild(uffd, withEvent, pinInChild), "a page pinned by the child");
        }
    }
}
