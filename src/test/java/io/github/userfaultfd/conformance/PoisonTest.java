// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.List;

/** The handler poisons every second page: who touches one gets SIGBUS, the others are filled. */
@Scenario(value = "poison", features = Feature.POISON)
class PoisonTest {
    @EachMemory
    void everySecondPage(MemoryKind kind) throws Exception {
        Needs.features(kind.missing().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.POISON))) {
            uffd.register(memory, RegisterMode.MISSING);
            Steps all = new Steps();
            for (int i = 0; i < memory.pages(); i++) {
                all.read(memory.at(i));
            }
            try (Handler handler = new Handler(uffd, (from, event) -> resolve(from, (Event.PageFault) event, memory, source));
                    Steps.Job reader = all.start()) {
                List<Long> results = reader.await();
                for (int i = 0; i < memory.pages(); i++) {
                    if (i % 2 == 0) {
                        assertTrue(Steps.raisedSigbus(results.get(i)), "page " + i + ": " + results.get(i));
                    } else {
                        assertEquals(TestMemory.content(i), results.get(i), "page " + i);
                    }
                }
                assertEquals(memory.pages(), handler.seen().size(), "a poisoned page is resolved: no second event");
            }
            assertTrue(Steps.raisedSigbus(new Steps().write(memory.at(0), 1).run().get(0)));
            assertTrue(memory.isPresent(1));
        }
    }

    private static void resolve(CoveredUffd from, Event.PageFault fault, TestMemory memory, TestMemory source)
            throws IOException {
        int index = (int) ((fault.address() - memory.address()) / memory.page);
        if (index % 2 == 0) {
            from.poison(memory.at(index), memory.page, ResolveMode.DONT_WAKE);
            from.wake(memory.at(index), memory.page);
        } else {
            from.copy(memory.at(index), source.address() + (long) index * memory.page, memory.page);
        }
    }

    /** A system call gets EHWPOISON and no signal. */
    @EachMemory
    void systemCallGetsAnError(MemoryKind kind) throws Exception {
        Needs.features(kind.missing().toArray(new Feature[0]));
        int[] pipe = new int[2];
        try (TestMemory memory = TestMemory.of(kind);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.POISON))) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.poison(memory.address(), memory.length);
            Faults.ok(Faults.pipe(pipe));
            List<Long> results = new Steps().writeFile(pipe[1], memory.at(0), 1)
                    .madvise(memory.address(), memory.length, Faults.MADV_POPULATE_READ).run();
            assertEquals(List.of((long) -Abi.EFAULT, (long) -Abi.EHWPOISON), results);
        } finally {
            closePipe(pipe);
        }
    }

    private static void closePipe(int[] pipe) {
        for (int each : pipe) {
            if (each > 0) {
                Native.close(each);
            }
        }
    }
}
