// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FailurePolicy;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.snapshot.DirtyTracker;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Pages and tracks small regions each way that there is, and compares every byte. */
final class SelfTest {
    /** How the names of the findings about paging begin. */
    static final String PAGING = "paging of ";
    private static final int PAGES = 64;
    private static final int HUGE_PAGES = 1;

    private SelfTest() {}

    @FunctionalInterface
    private interface Memory {
        MemoryRegion make() throws IOException;
    }

    static List<Finding> run(SystemSupport support) {
        long page = support.pageSize();
        List<Finding> found = new ArrayList<>();
        for (FaultEngine engine : new FaultEngine[] {FaultEngine.INLINE, FaultEngine.THREAD}) {
            found.add(paging(engine, "anonymous memory", () -> MemoryRegion.anonymous(PAGES * page)));
            found.add(paging(engine, "shared memory", () -> MemoryRegion.shared(PAGES * page)));
            support.hugePages().forEach((size, free) -> {
                if (free >= HUGE_PAGES && size <= 1 << 30) {
                    found.add(paging(engine, "huge pages of " + (size >> 10) + " KiB",
                            () -> MemoryRegion.hugePages(HUGE_PAGES * size, PageSize.of(size))));
                }
            });
        }
        found.add(Native.sigbusIsOurs() == 1
                ? Finding.yes("SIGBUS handler", "this library's, which hands on to the JVM's what is not its own")
                : Finding.no("SIGBUS handler", "not this library's; Pager serves with FaultEngine.THREAD"));
        found.add(tracking(() -> MemoryRegion.anonymous(PAGES * page)));
        return found;
    }

    private static Finding paging(FaultEngine engine, String kind, Memory memory) {
        String name = PAGING + kind + ", " + engine;
        try (MemoryRegion region = memory.make(); MemoryRegion source = MemoryRegion.anonymous(region.size())) {
            int length = (int) region.size();
            // Touched in vain, a huge page that the process may not have ends it; this throws.
            region.fetch(0, length);
            ByteBuffer expected = source.asByteBuffer(0, length);
            for (int at = 0; at < length; at += Long.BYTES) {
                expected.putLong(at, at * 0x9E3779B97F4A7C15L);
            }
            try (Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).engine(engine)
                    .faultAround(region.pageSize()).onFailure(FailurePolicy.FILL).start()) {
                int wrong = region.asByteBuffer(0, length).mismatch(expected);
                pager.check();
                return wrong >= 0 ? Finding.no(name, "wrong byte at offset " + wrong + ", please report it")
                        : Finding.yes(name, "every byte of " + length / region.pageSize() + " pages right");
            }
        } catch (IOException | RuntimeException e) {
            return Finding.no(name, Main.words(e));
        }
    }

    private static Finding tracking(Memory memory) {
        String name = "tracking of what was written";
        try (MemoryRegion region = memory.make(); DirtyTracker tracker = DirtyTracker.start(region)) {
            tracker.collect((offset, length) -> { });
            region.asByteBuffer(region.pageSize(), 1).put(0, (byte) 1);
            List<String> ranges = new ArrayList<>();
            tracker.collect((offset, length) -> ranges.add(offset + "+" + length));
            String expected = region.pageSize() + "+" + region.pageSize();
            return ranges.equals(List.of(expected)) ? Finding.yes(name, "one page written, one page told")
                    : Finding.no(name, "told " + ranges + " instead of " + expected + ", please report it");
        } catch (IOException e) {
            return Finding.no(name, Main.words(e));
        }
    }
}
