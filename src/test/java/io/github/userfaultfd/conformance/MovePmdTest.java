// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import java.io.IOException;
import java.util.List;

/** Whole transparent huge pages are moved as what they are, without being split or copied. */
@Scenario(value = "move-pmd", features = Feature.MOVE, abilities = Ability.TRANSPARENT_HUGE_PAGES)
class MovePmdTest {
    private static final int HUGE_PAGES = 2;

    @EachMemory(MemoryKind.ANONYMOUS)
    void wholeHugePages(MemoryKind kind) throws Exception {
        long huge = ThpSupport.size();
        moveInPieces(kind, huge, huge, HUGE_PAGES * huge);
    }

    /** Touches every page; the handler moves {@code piece} bytes around each fault. */
    static void moveInPieces(MemoryKind kind, long huge, long piece, long hugeAfterwards) throws Exception {
        try (TestMemory memory = TestMemory.alignedForHugePages(kind, HUGE_PAGES * huge, huge);
                TestMemory source = hugeSource(kind, huge);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            // The fault then leaves no table of small pages behind, which would make the kernel split what it moves there.
            Faults.ok(Faults.madvise(memory.address(), memory.length, Faults.MADV_HUGEPAGE));
            uffd.register(memory, RegisterMode.MISSING);
            int step = Math.toIntExact(piece / TestMemory.PAGE);
            Steps touches = new Steps();
            for (int i = 0; i < memory.pages(); i += step) {
                touches.read(memory.at(i));
            }
            try (Handler handler = new Handler(uffd, (from, event) -> {
                        long offset = (((Event.PageFault) event).address() - memory.address()) / piece * piece;
                        assertEquals(piece, from.move(memory.address() + offset, source.address() + offset, piece));
                    });
                    Steps.Job reader = touches.start()) {
                List<Long> results = reader.await();
                for (int i = 0; i < touches.size(); i++) {
                    assertEquals(TestMemory.content(i * step), results.get(i), "piece " + i);
                }
                assertEquals(touches.size(), handler.seen().size(), "one fault a piece");
            }
            assertEquals(hugeAfterwards, ThpSupport.hugeBytes(memory.address(), "AnonHugePages"));
            for (int i = 0; i < memory.pages(); i++) {
                memory.assertFilled(i, TestMemory.content(i));
            }
            assertEquals(0, ThpSupport.hugeBytes(source.address(), "AnonHugePages"));
        }
    }

    private static TestMemory hugeSource(MemoryKind kind, long huge) throws IOException {
        TestMemory source = TestMemory.alignedForHugePages(kind, HUGE_PAGES * huge, huge);
        Faults.ok(Faults.madvise(source.address(), source.length, Faults.MADV_HUGEPAGE));
        for (int i = 0; i < source.pages(); i++) {
            Faults.setMemory(source.at(i), source.page, TestMemory.content(i));
        }
        if (ThpSupport.hugeBytes(source.address(), "AnonHugePages") != source.length) {
            source.close();
            assumeTrue(false, "the system had no transparent huge pages to give");
        }
        return source;
    }
}
