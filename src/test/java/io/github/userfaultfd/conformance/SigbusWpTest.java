// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.support.Needs;
import java.time.Duration;
import java.util.List;
import java.util.Set;

/** With the feature SIGBUS a write to a protected page is a signal to who writes, in a forked child too, and no event. */
@Scenario(value = "sigbus-wp", features = {Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP})
class SigbusWpTest {
    private static Set<Feature> features(MemoryKind kind, Feature... more) {
        Set<Feature> features = CoveredUffd.all(kind.writeProtect(), more);
        features.add(Feature.SIGBUS);
        features.addAll(kind.missing());
        Needs.features(features.toArray(new Feature[0]));
        return features;
    }

    private static void fill(TestMemory memory, CoveredUffd uffd) throws Exception {
        try (TestMemory source = TestMemory.source(memory)) {
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.WRITE_PROTECT);
            uffd.copy(memory.address(), source.address(), memory.length, ResolveMode.WRITE_PROTECT);
        }
    }

    @EachMemory
    void signalInsteadOfEvent(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features(kind))) {
            fill(memory, uffd);
            for (int i = 0; i < memory.pages(); i++) {
                assertEquals(List.of((long) TestMemory.content(i), Steps.SIGBUS),
                        new Steps().read(memory.at(i)).write(memory.at(i), 3).run());
                uffd.removeWriteProtection(memory.at(i), memory.page);
                assertEquals(List.of(0L, 3L), new Steps().write(memory.at(i), 3).read(memory.at(i)).run());
            }
            assertFalse(uffd.poll(Duration.ZERO), "no event");
        }
    }

    @EachMemory
    void signalInAForkedChild(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features(kind, Feature.EVENT_FORK))) {
            fill(memory, uffd);
            Steps steps = new Steps().write(memory.at(0), 3).gate(1).write(memory.at(0), 4).read(memory.at(0))
                    .write(memory.at(1), 5);
            try (Steps.Job child = steps.fork(); Uffd childs = uffd.awaitEvent(Event.Fork.class).uffd()) {
                child.awaitStep(1);
                assertEquals(Steps.SIGBUS, child.result(0));
                childs.removeWriteProtection(memory.at(0), memory.page);
                child.open(1);
                assertEquals(List.of(Steps.SIGBUS, 0L, 0L, 4L, Steps.SIGBUS), child.await());
            }
            assertEquals(List.of(Steps.SIGBUS), new Steps().write(memory.at(0), 3).run(), "the parent's protection stays");
        }
    }
}
