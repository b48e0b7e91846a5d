// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.internal.Native;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.BitSet;

/** PAGEMAP_SCAN of this process, directly. */
final class PageScan implements AutoCloseable {
    private static final int NUMBER = 16;
    private static final int ARGUMENT_LONGS = 12;
    private static final int ARGUMENT_BYTES = ARGUMENT_LONGS * Long.BYTES;
    private static final int MOST_RANGES = 64;
    private static final int RANGE_LONGS = 3;
    private static final long WRITTEN = 2;
    private static final long PRESENT = 8;
    private static final long ACCESSED = 512;
    private static final long PROTECT_MATCHING = 1;

    private final int pagemap = (int) Faults.ok(Faults.openFile("/proc/self/pagemap", 0));
    private final ByteBuffer ranges = ByteBuffer.allocateDirect(MOST_RANGES * RANGE_LONGS * Long.BYTES)
            .order(ByteOrder.nativeOrder());

    /** The pages of a memory that were written since they were protected; protects them again in the same step if asked to. */
    BitSet written(TestMemory memory, boolean rearm) {
        return scan(memory, rearm ? PROTECT_MATCHING : 0, 0, WRITTEN);
    }

    /** The present pages that nobody touched since they were read-write-protected. */
    BitSet idle(TestMemory memory) {
        return scan(memory, 0, ACCESSED, ACCESSED | PRESENT);
    }

    private BitSet scan(TestMemory memory, long flags, long inverted, long categories) {
        long vector = Native.directAddress(ranges);
        long[] argument = {ARGUMENT_BYTES, flags, memory.address(), memory.address() + memory.length, 0,
            vector, MOST_RANGES, 0, inverted, categories, 0, categories};
        int count = (int) Faults.ok(Faults.ioctl(pagemap, 'f', NUMBER, argument));
        BitSet pages = new BitSet();
        for (int i = 0; i < count; i++) {
            long start = ranges.getLong(i * RANGE_LONGS * Long.BYTES);
            long end = ranges.getLong((i * RANGE_LONGS + 1) * Long.BYTES);
            pages.set((int) ((start - memory.address()) / memory.page),
                    (int) ((end - memory.address() + memory.page - 1) / memory.page));
        }
        return pages;
    }

    @Override
    public void close() {
        Native.close(pagemap);
    }
}
