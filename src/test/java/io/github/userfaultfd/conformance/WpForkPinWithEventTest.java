// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;

/** Pinned pages of a child forked with a fork event keep their write protection. */
@Scenario(value = "wp-fork-pin-with-event", features = {Feature.PAGEFAULT_FLAG_WP, Feature.EVENT_FORK},
        abilities = Ability.PROTECTION_IN_PAGEMAP)
class WpForkPinWithEventTest {
    @EachMemory
    void withEvent(MemoryKind kind) throws Exception {
        WpForkTest.needRightMarks(kind);
        WpForkPinTest.forkWithPins(kind, true);
    }
}
