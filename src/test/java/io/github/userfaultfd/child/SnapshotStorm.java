// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.snapshot.LiveSnapshot;
import io.github.userfaultfd.snapshot.Snapshotter;
import io.github.userfaultfd.support.Crew;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.util.BitSet;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;

/**
 * Snapshots of a region whose writers never stop, while the collector is asked to run in a loop. Each image has to be one instant:
 * each writer stamps its pages one after the other with one version after the other, so the versions in an image never rise along a
 * writer's pages, nor inside a page, and differ by one at most; and the second writer's mark follows the first writer's last page.
 * No image is older than the one before, and some have to be newer. What changed between two images is what {@code changed} says, but
 * for the page that each writer was just about to write.
 */
final class SnapshotStorm {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final int WRITERS = 3;
    private static final int STAMPED = 40;
    private static final int RARE = 200;
    /** The writers are waited for once in so many rounds: there may be fewer processors than writers. */
    private static final int AWAITED = 10;
    private static final int PAGES = WRITERS * (STAMPED + RARE);
    private static final VarHandle LONGS = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

    private final MemoryRegion region;
    private final ByteBuffer memory;

    private SnapshotStorm(MemoryRegion region) {
        this.region = region;
        memory = region.asByteBuffer(0, (int) region.size());
    }

    /** kind of memory, rounds, whether to collect garbage and to discard pages all the time. */
    public static void main(String[] arguments) throws Exception {
        boolean disturbed = Boolean.parseBoolean(arguments[2]);
        long bytes = (long) PAGES * PAGE;
        try (MemoryRegion region = arguments[0].equals("shared") ? MemoryRegion.shared(bytes) : MemoryRegion.anonymous(bytes)) {
            if (arguments[0].equals("paged")) {
                try (Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.INLINE).start()) {
                    new SnapshotStorm(region).run(Integer.parseInt(arguments[1]), disturbed);
                    System.out.println(pager.stats());
                }
            } else {
                new SnapshotStorm(region).run(Integer.parseInt(arguments[1]), disturbed);
            }
        }
    }

    private void run(int rounds, boolean disturbed) throws Exception {
        try (Snapshotter snapshotter = Snapshotter.of(region).start(); Crew crew = new Crew()) {
            for (int i = 0; i < WRITERS; i++) {
                crew.repeat(new Writer(i));
            }
            if (disturbed) {
                crew.repeat(this::collectGarbage);
                crew.repeat(new Discarder());
            }
            ByteBuffer before = null;
            for (int round = 0; round < rounds && !crew.hasFailed(); round++) {
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    Image image = new Image();
                    if (round % 2 == 0) {
                        snapshot.drainTo(image);
                    } else {
                        snapshot.writeTo(image);
                    }
                    check(image.bytes);
                    if (before != null) {
                        checkChanged(snapshot, before, image.bytes, disturbed);
                        checkRisen(before, image.bytes, round % AWAITED == 0 ? 1 : 0);
                    }
                    before = image.bytes;
                    if ((round + 1) % AWAITED == 0) {
                        awaitWriters(image.bytes, crew);
                    }
                }
            }
        }
        System.out.println("done " + rounds);
    }

    /** Keeps what is written to it. */
    private static final class Image implements WritableByteChannel {
        private final ByteBuffer bytes = ByteBuffer.allocate(PAGES * PAGE).order(ByteOrder.nativeOrder());

        @Override
        public int write(ByteBuffer from) {
            int count = from.remaining();
            bytes.put(from);
            return count;
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public void close() {
        }
    }

    /** Writes one version after the other. */
    private final class Writer implements Crew.Work {
        private final int self;
        private final SplittableRandom random;
        private long version;

        Writer(int self) {
            this.self = self;
            random = new SplittableRandom(self);
        }

        @Override
        public void run() {
            version++;
            for (int i = 0; i < STAMPED; i++) {
                int at = (self * STAMPED + i) * PAGE;
                LONGS.setRelease(memory, at, version);
                LONGS.setRelease(memory, at + PAGE - Long.BYTES, version);
            }
            if (self == 1) {
                LONGS.setRelease(memory, STAMPED * PAGE + 8, (long) LONGS.getAcquire(memory, STAMPED * PAGE - Long.BYTES));
            }
            int rare = (WRITERS * STAMPED + self * RARE + random.nextInt(RARE)) * PAGE + 64;
            LONGS.setRelease(memory, rare, (long) LONGS.getAcquire(memory, rare) + 1);
        }
    }

    private void collectGarbage() {
        System.gc();
        // Without a gap the JVM does nothing but collect.
        LockSupport.parkNanos(500_000);
    }

    private final class Discarder implements Crew.Work {
        private final SplittableRandom random = new SplittableRandom(7);

        @Override
        public void run() throws IOException {
            long at = (long) (WRITERS * STAMPED + random.nextInt(WRITERS * RARE - 8)) * PAGE;
            region.discard(at, 8L * PAGE);
            LockSupport.parkNanos(300_000);
        }
    }

    private static int firstPageOf(int writer) {
        return writer * STAMPED * PAGE;
    }

    /** While the snapshot is open each writer goes on beyond its image; so the next image is newer. */
    private void awaitWriters(ByteBuffer image, Crew crew) {
        for (int writer = 0; writer < WRITERS; writer++) {
            int at = firstPageOf(writer);
            while ((long) LONGS.getAcquire(memory, at) <= image.getLong(at) && !crew.hasFailed()) {
                Thread.yield();
            }
        }
    }

    private static void checkRisen(ByteBuffer before, ByteBuffer now, int least) {
        for (int writer = 0; writer < WRITERS; writer++) {
            int at = firstPageOf(writer);
            if (now.getLong(at) < before.getLong(at) + least) {
                throw new AssertionError("writer " + writer + " is at " + now.getLong(at) + ", after " + before.getLong(at));
            }
        }
    }

    private static void check(ByteBuffer image) {
        for (int writer = 0; writer < WRITERS; writer++) {
            long first = image.getLong(firstPageOf(writer));
            long last = first;
            for (int at = firstPageOf(writer); at < firstPageOf(writer + 1); at += PAGE) {
                long head = image.getLong(at);
                long tail = image.getLong(at + PAGE - Long.BYTES);
                if (head > last || tail > head || first - tail > 1) {
                    throw new AssertionError("not one instant: page " + at / PAGE + " has " + head + " and " + tail + " after " + last);
                }
                last = tail;
            }
        }
        if (image.getLong(STAMPED * PAGE + 8) > image.getLong(STAMPED * PAGE - Long.BYTES)) {
            throw new AssertionError("the second writer saw what the image of the first does not have");
        }
    }

    private static void checkChanged(LiveSnapshot snapshot, ByteBuffer before, ByteBuffer now, boolean discards) {
        BitSet said = new BitSet();
        snapshot.changed((offset, length) -> said.set((int) (offset / PAGE), (int) ((offset + length) / PAGE)));
        int unwritten = 0;
        for (int page = 0; page < PAGES; page++) {
            boolean differs = !before.slice(page * PAGE, PAGE).equals(now.slice(page * PAGE, PAGE));
            if (differs && !said.get(page)) {
                throw new AssertionError("page " + page + " changed and is not reported");
            }
            unwritten += !differs && said.get(page) ? 1 : 0;
        }
        if (!discards && unwritten > WRITERS) {
            throw new AssertionError(unwritten + " pages are reported that nobody wrote");
        }
    }
}
