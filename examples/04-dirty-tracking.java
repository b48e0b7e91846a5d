// SPDX-License-Identifier: Apache-2.0
// Which pages were written since they were last asked for. Linux 5.7 and newer; from 6.7 on the
// kernel takes note itself.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/04-dirty-tracking.java
//
// prints
//
//   written: page 3, 2 pages
//   written: page 100, 1 pages
//   written since: 0 bytes

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.snapshot.DirtyTracker;

class Tracking {
    public static void main(String[] arguments) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(64 << 20); DirtyTracker tracker = DirtyTracker.start(region)) {
            long page = region.pageSize();
            for (int number : new int[] {3, 4, 100}) {
                region.asByteBuffer(number * page, 8).putLong(0, 42);
            }
            tracker.collect((offset, length) ->
                    System.out.println("written: page " + offset / page + ", " + length / page + " pages"));
            System.out.println("written since: " + tracker.dirtyBytes() + " bytes");
        }
    }
}
