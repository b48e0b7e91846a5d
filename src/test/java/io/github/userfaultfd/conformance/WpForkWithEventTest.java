// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;

/** A child forked with a fork event has its parent's write protection. */
@Scenario(value = "wp-fork-with-event", features = {Feature.PAGEFAULT_FLAG_WP, Feature.EVENT_FORK},
        abilities = Ability.PROTECTION_IN_PAGEMAP)
class WpForkWithEventTest {
    @EachMemory
    void withEvent(MemoryKind kind) throws Exception {
        WpForkTest.forkAndCompare(kind, true);
    }
}
