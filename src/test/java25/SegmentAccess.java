// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.memory.MemoryRegion;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;

/** A region as a MemorySegment: single values and MemorySegment.copy. Compiled by the tests with a JDK that has it. */
final class SegmentAccess implements AccessStorm.Access {
    @Override
    public boolean check(MemoryRegion region, ByteBuffer buffer, int page, SplittableRandom random) {
        MemorySegment segment = MemorySegment.ofAddress(region.address()).reinterpret(region.size());
        long words = AccessStorm.PAGE / Long.BYTES;
        long first = page * words;
        long one = first + random.nextInt((int) words);
        if (segment.getAtIndex(ValueLayout.JAVA_LONG, one) != AccessStorm.expected(one)) {
            return false;
        }
        long[] copy = new long[(int) words];
        MemorySegment.copy(segment, ValueLayout.JAVA_LONG, page * AccessStorm.PAGE, copy, 0, copy.length);
        for (int i = 0; i < copy.length; i++) {
            if (copy[i] != AccessStorm.expected(first + i)) {
                return false;
            }
        }
        return MemorySegment.ofArray(copy).mismatch(segment.asSlice(page * AccessStorm.PAGE, AccessStorm.PAGE)) < 0;
    }
}
