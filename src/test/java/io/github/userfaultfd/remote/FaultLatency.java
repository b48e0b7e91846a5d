// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Latencies of single faults, one thread that touches page after page: a main program, not a test. */
final class FaultLatency {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 20_000;
    private static final int ROUNDS = 3;

    /** Volatile, or the compiler moves the access behind the second look at the clock. */
    private static volatile long read;

    private FaultLatency() {}

    /** As little work as a loader can have. */
    static final class Nothing implements PageLoader {
        @Override
        public void load(long offset, ByteBuffer page) {
            page.position(page.limit());
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            try (MemoryRegion region = MemoryRegion.anonymous(PAGES * PAGE)) {
                PagerProcess pager = PagerProcess.start(region, Nothing.class);
                measure("PagerProcess, serves after " + pager.startTime().toMillis() + " ms", region);
                pager.close();
            }
            for (FaultEngine engine : new FaultEngine[] {FaultEngine.THREAD, FaultEngine.INLINE}) {
                try (MemoryRegion source = MemoryRegion.anonymous(PAGES * PAGE);
                        MemoryRegion region = MemoryRegion.anonymous(PAGES * PAGE)) {
                    source.fetch(0, source.size());
                    Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).engine(engine)
                            .faultAround(PAGE).start();
                    measure("engine " + engine, region);
                    pager.close();
                }
            }
        }
    }

    private static void measure(String what, MemoryRegion region) {
        long[] nanos = new long[PAGES];
        ByteBuffer buffer = region.asByteBuffer(0, (int) region.size());
        for (int page = 0; page < PAGES; page++) {
            long start = System.nanoTime();
            read = buffer.get((int) (page * PAGE));
            nanos[page] = System.nanoTime() - start;
        }
        Arrays.sort(nanos);
        System.out.printf("%-40s p50 %5.1f us, p99 %6.1f us, max %7.1f us%n", what, nanos[PAGES / 2] / 1e3,
                nanos[PAGES * 99 / 100] / 1e3, nanos[PAGES - 1] / 1e3);
    }
}
