// SPDX-License-Identifier: Apache-2.0
// An image of one instant of memory that another thread never stops writing: it counts up in the first long of each page, one page
// after the other, so at any instant the counts go down by one at most once from the first page to the last. A plain copy of the
// region would not show that. Linux 5.7 and newer.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/06-live-snapshot.java
//
// prints
//
//   10 images while it was written
//   each of one instant: true
//   the writer went on meanwhile: true

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.snapshot.LiveSnapshot;
import io.github.userfaultfd.snapshot.Snapshotter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

class LiveSnapshotExample {
    private static final int PAGES = 1000;

    private static volatile boolean stop;
    private static volatile long rounds;

    private static void count(ByteBuffer memory, int page) {
        for (long round = 1; !stop; round++) {
            for (int i = 0; i < PAGES; i++) {
                memory.putLong(i * page, round);
            }
            rounds = round;
        }
    }

    private static boolean isOneInstant(LiveSnapshot snapshot, int page) throws Exception {
        ByteBuffer count = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder());
        long first = 0;
        long before = 0;
        for (int i = 0; i < PAGES; i++) {
            snapshot.read((long) i * page, count.clear());
            long now = count.flip().getLong(0);
            first = i == 0 ? now : first;
            if (i > 0 && (now > before || now < first - 1)) {
                return false;
            }
            before = now;
        }
        return true;
    }

    public static void main(String[] arguments) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGES * PageSize.system().bytes());
                Snapshotter snapshotter = Snapshotter.of(region).start()) {
            int page = (int) region.pageSize();
            ByteBuffer memory = region.asByteBuffer(0, PAGES * page);
            Thread writer = new Thread(() -> count(memory, page));
            writer.start();
            int images = 0;
            boolean right = true;
            boolean wentOn = true;
            while (images < 10) {
                while (rounds == 0) {
                    Thread.onSpinWait();
                }
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    long then = rounds;
                    right &= isOneInstant(snapshot, page);
                    long limit = System.nanoTime() + 5_000_000_000L;
                    while (rounds <= then + 1 && System.nanoTime() < limit) {
                        Thread.onSpinWait();
                    }
                    wentOn &= rounds > then + 1;
                    right &= isOneInstant(snapshot, page);
                }
                images++;
            }
            stop = true;
            writer.join();
            System.out.println(images + " images while it was written");
            System.out.println("each of one instant: " + right);
            System.out.println("the writer went on meanwhile: " + wentOn);
        }
    }
}
