// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;

/** The events with write-protected pages: the protection goes along to the child and to the new addresses. */
@Scenario(value = "events-wp", features = {Feature.EVENT_FORK, Feature.EVENT_REMAP, Feature.EVENT_REMOVE, Feature.EVENT_UNMAP,
        Feature.PAGEFAULT_FLAG_WP})
class EventsWpTest {
    @EachMemory
    void followTheChild(MemoryKind kind) throws Exception {
        EventsTest.run(kind, true);
    }
}
