// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Needs;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Threads that meet at one page or one lock, again and again. */
@Timeout(120)
class WriteProtectTest {
    private static final int PAGE = (int) PageSize.system().bytes();
    /** Longer than a page has to fault in vain to be taken for one that cannot be helped. */
    private static final long LONG_ENOUGH = 2_500_000_000L;
    /** And more often; a processor that is emulated gets no further than it gets. */
    private static final int OFTEN_ENOUGH = ChildJvm.PATIENCE > 1 ? 1 : 1500;

    @TempDir
    private Path directory;

    @BeforeEach
    void needsTheKernel() {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
    }

    /** After each begin all writers fault and all but one find the page open: none of these faults is in vain. */
    @Test
    void writersThatMeetAtOnePage() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4L * PAGE); Snapshotter snapshotter = Snapshotter.of(region).start();
                Crew writers = new Crew()) {
            ByteBuffer word = region.asByteBuffer(0, PAGE);
            for (int i = 0; i < 4; i++) {
                writers.repeat(() -> word.putInt(0, 1));
            }
            long until = System.nanoTime() + LONG_ENOUGH;
            for (int begun = 0; System.nanoTime() < until || begun < OFTEN_ENOUGH; begun++) {
                snapshotter.begin().close();
            }
        }
    }

    /** Pages that a pager brings for a tracked region are protected, so each of these writes faults twice. */
    @Test
    void aPageThatComesAndGoes() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4L * PAGE);
                Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.INLINE).faultAround(PAGE).start();
                DirtyTracker tracker = DirtyTracker.start(region)) {
            ByteBuffer word = region.asByteBuffer(0, PAGE);
            try (Crew readers = new Crew()) {
                readers.repeat(() -> word.getInt(0));
                readers.repeat(() -> region.fetch(0, PAGE));
                long until = System.nanoTime() + LONG_ENOUGH;
                while (System.nanoTime() < until || pager.stats().faults() < OFTEN_ENOUGH) {
                    region.discard(0, PAGE);
                    word.putInt(0, 1);
                }
            }
            assertEquals(PAGE, tracker.dirtyBytes());
        }
    }

    /** The file is cut to nothing when all pages are in place: whoever protects, saves and reads them does not ask for it. */
    @Test
    void whatIsThereNeedsNoSource() throws Exception {
        byte[] content = new byte[50 * PAGE];
        Arrays.fill(content, (byte) 7);
        Path file = Files.write(directory.resolve("source"), content);
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(FaultEngine.INLINE).start();
                Snapshotter snapshotter = Snapshotter.of(region).start()) {
            pager.prefetch(0, content.length);
            try (FileChannel cut = FileChannel.open(file, StandardOpenOption.WRITE)) {
                cut.truncate(0);
            }
            region.fetch(0, content.length);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                for (int i = 0; i < 50; i += 2) {
                    region.asByteBuffer((long) i * PAGE, 1).put(0, (byte) 8);
                }
                ByteArrayOutputStream image = new ByteArrayOutputStream();
                snapshot.writeTo(Channels.newChannel(image));
                assertTrue(Arrays.equals(content, image.toByteArray()));
            }
            try (FileChannel whole = FileChannel.open(file, StandardOpenOption.WRITE)) {
                whole.write(ByteBuffer.wrap(content)); // closing asks whether the source is whole
            }
        }
    }

    /** Where huge pages are always used, the reads map huge pages of zeros, which some kernels do not protect part by part. */
    @Test
    void pagesOfZerosThatWereRead() throws Exception {
        int size = 8 << 20;
        try (MemoryRegion region = MemoryRegion.anonymous(size);
                Snapshotter snapshotter = Snapshotter.of(region).leaveOutUnpopulated().start()) {
            ByteBuffer memory = region.asByteBuffer(0, size);
            for (int at = 0; at < size; at += PAGE) {
                assertEquals(0, memory.get(at));
            }
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                for (int at = 0; at < size; at += PAGE) {
                    memory.put(at, (byte) 1);
                }
                assertEquals(size, snapshot.savedBytes());
                ByteArrayOutputStream image = new ByteArrayOutputStream();
                snapshot.writeTo(Channels.newChannel(image));
                assertTrue(Arrays.equals(new byte[size], image.toByteArray()));
            }
        }
    }

    /** A page that is discarded while protection starts has to be protected all the same, or be reported. */
    @ParameterizedTest
    @ValueSource(strings = {"kernel", "inline", "unpopulated"})
    void discardsWhileATrackerStarts(String kind) throws Exception {
        if (kind.equals("kernel")) {
            Needs.features(Feature.WP_ASYNC);
        }
        try (MemoryRegion region = MemoryRegion.anonymous(64L * PAGE)) {
            for (int round = 0; round < 2000; round += ChildJvm.PATIENCE) {
                CountDownLatch starting = new CountDownLatch(1);
                long delay = round * 100L * ChildJvm.PATIENCE; // nanoseconds, to somewhere in the middle of the start
                Crew discard = new Crew();
                discard.once(() -> {
                    starting.countDown();
                    for (long from = System.nanoTime(); System.nanoTime() - from < delay;) {
                        Thread.onSpinWait();
                    }
                    region.discard(0, region.size());
                });
                starting.await();
                try (DirtyTracker tracker = kind.equals("kernel") ? DirtyTracker.start(region)
                        : DirtyTracker.startInline(region, kind.equals("unpopulated"))) {
                    discard.join();
                    tracker.collect((offset, length) -> { });
                    region.asByteBuffer(0, PAGE).put(5, (byte) 1);
                    assertEquals(PAGE, tracker.dirtyBytes(), "round " + round);
                }
            }
        }
    }

    @Test
    void aTrackerCanBeClosedWhileItsConsumerWaits() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4L * PAGE); DirtyTracker tracker = DirtyTracker.start(region)) {
            region.asByteBuffer(0, PAGE).put(0, (byte) 1);
            Thread closer = new Thread(tracker::close);
            int[] calls = new int[1];
            assertThrows(IllegalStateException.class, () -> {
                tracker.collect((offset, length) -> {
                    calls[0]++;
                    closer.start();
                    join(closer);
                });
                tracker.dirtyBytes();
            });
            assertEquals(1, calls[0]);
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join(60_000);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        assertFalse(thread.isAlive(), thread + " waits for ever");
    }
}
