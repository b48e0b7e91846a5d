// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.userfaultfd.RegisterMode;
import java.util.Collections;
import org.junit.jupiter.api.Test;

/** What bites users of userfaultfd, shown once each, and where the library protects from it, that it does. */
@Scenario("behaviour")
class BehaviourTest {
    /**
     * UNREGISTER wakes before it clears the range: a thread that faults in between sleeps on (seen on 6.18). The library wakes
     * again afterwards.
     */
    @Test
    void unregisterLeavesNobodyAsleep() throws Exception {
        for (int round = 0; round < 10; round++) {
            try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS, 512); CoveredUffd uffd = CoveredUffd.open()) {
                uffd.register(memory, RegisterMode.MISSING);
                Steps all = new Steps();
                for (int i = 0; i < memory.pages(); i++) {
                    all.read(memory.at(i));
                }
                try (Steps.Job reader = all.start()) {
                    for (int i = 0; i < memory.pages(); i++) {
                        reader.spinUntilStep(i);
                        uffd.unregister(memory.at(i), memory.page);
                    }
                    assertEquals(Collections.nCopies(memory.pages(), 0L), reader.await());
                }
            }
        }
    }
}
