// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.support.Needs;
import java.time.Duration;
import java.util.List;

/** With the feature SIGBUS a missing page is a signal to who touches it, in a forked child too, and no event. */
@Scenario(value = "sigbus", features = Feature.SIGBUS)
class SigbusTest {
    @EachMemory
    void signalInsteadOfEvent(MemoryKind kind) throws Exception {
        Needs.features(kind.missing().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.SIGBUS))) {
            uffd.register(memory, RegisterMode.MISSING);
            for (int i = 0; i < memory.pages(); i++) {
                assertEquals(List.of(Steps.SIGBUS, Steps.SIGBUS), new Steps().read(memory.at(i)).write(memory.at(i), 3).run());
                uffd.copy(memory.at(i), source.address() + (long) i * memory.page, memory.page);
                assertEquals(List.of((long) TestMemory.content(i)), new Steps().read(memory.at(i)).run());
            }
            assertFalse(uffd.poll(Duration.ZERO), "no event");
        }
    }

    @EachMemory
    void signalInAForkedChild(MemoryKind kind) throws Exception {
        Needs.features(Feature.EVENT_FORK);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.SIGBUS, Feature.EVENT_FORK))) {
            uffd.register(memory, RegisterMode.MISSING);
            Steps steps = new Steps().read(memory.at(0)).gate(1).read(memory.at(0)).read(memory.at(1));
            try (Steps.Job child = steps.fork(); Uffd childs = uffd.awaitEvent(Event.Fork.class).uffd()) {
                child.awaitStep(1);
                assertEquals(Steps.SIGBUS, child.result(0));
                childs.copy(memory.at(0), source.address(), memory.page);
                child.open(1);
                assertEquals(List.of(Steps.SIGBUS, 0L, (long) TestMemory.content(0), Steps.SIGBUS), child.await());
            }
            // Without a second mapping's help the parent's private pages are still its own to fill.
            assertEquals(List.of(kind.isShared() ? (long) TestMemory.content(0) : Steps.SIGBUS),
                    new Steps().read(memory.at(0)).run());
        }
    }
}
