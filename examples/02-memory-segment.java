// SPDX-License-Identifier: Apache-2.0
// JDK 22 and newer: a region as a MemorySegment, which has no limit of 2 GiB.
//
//   java --enable-native-access=ALL-UNNAMED -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/02-memory-segment.java
//
// prints
//
//   4294967296 bytes, the last one is 42
//   too late: Already closed

import io.github.userfaultfd.memory.MemoryRegion;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

class Segment {
    public static void main(String[] arguments) throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(4L << 30);
        MemorySegment segment = MemorySegment.ofAddress(region.address()).reinterpret(region.size());
        segment.set(ValueLayout.JAVA_BYTE, segment.byteSize() - 1, (byte) 42);
        ByteBuffer end = region.asByteBuffer(region.size() - 1, 1);
        System.out.println(segment.byteSize() + " bytes, the last one is " + end.get(0));
        region.close(); // the segment must not be used any more: it knows nothing of the region
        try {
            end.get(0);
        } catch (IllegalStateException e) {
            System.out.println("too late: " + e.getMessage());
        }
    }
}
