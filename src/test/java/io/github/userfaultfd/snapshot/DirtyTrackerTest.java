// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Phaser;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class DirtyTrackerTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 2000;

    @TempDir
    private Path directory;

    private static MemoryRegion region(String kind) throws IOException {
        return kind.startsWith("shared") ? MemoryRegion.shared(PAGES * PAGE) : MemoryRegion.anonymous(PAGES * PAGE);
    }

    /** By the kernel's own notes; "inline": as before Linux 6.7; "unpopulated": as before Linux 6.4. */
    private static DirtyTracker start(MemoryRegion region, String kind) throws IOException {
        if (kind.endsWith("inline") || kind.equals("unpopulated")) {
            Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
            if (kind.startsWith("shared")) {
                Needs.features(Feature.WP_HUGETLBFS_SHMEM);
            }
            return DirtyTracker.startInline(region, kind.equals("unpopulated"));
        }
        Needs.features(Feature.WP_ASYNC);
        return DirtyTracker.start(region);
    }

    private static BitSet pages(DirtyTracker tracker, boolean collect) {
        BitSet pages = new BitSet();
        long[] last = {-1};
        RangeConsumer consumer = (offset, length) -> {
            assertTrue(offset > last[0], "ranges ascend and do not touch");
            assertTrue(length > 0 && length % PAGE == 0);
            last[0] = offset + length;
            pages.set((int) (offset / PAGE), (int) ((offset + length) / PAGE));
        };
        if (collect) {
            tracker.collect(consumer);
        } else {
            tracker.peek(consumer);
        }
        return pages;
    }

    private static BitSet of(int... pages) {
        BitSet set = new BitSet();
        for (int each : pages) {
            set.set(each);
        }
        return set;
    }

    private static void write(MemoryRegion region, int page) {
        region.asByteBuffer(page * PAGE + 17, 1).put(0, (byte) 1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "inline", "shared inline", "unpopulated"})
    void exactlyTheWrittenPages(String kind) throws Exception {
        int descriptors = ProcessState.descriptors();
        try (MemoryRegion region = region(kind)) {
            write(region, 5); // before the start: does not count
            try (DirtyTracker tracker = start(region, kind)) {
                assertEquals(of(), pages(tracker, true));
                for (int page : new int[] {5, 6, 7, 100, 1999}) {
                    write(region, page);
                }
                region.asByteBuffer(50 * PAGE, 1).get(0);
                assertEquals(of(5, 6, 7, 100, 1999), pages(tracker, false));
                assertEquals(5 * PAGE, tracker.dirtyBytes());
                assertEquals(of(5, 6, 7, 100, 1999), pages(tracker, true));
                assertEquals(of(), pages(tracker, true));
                write(region, 6);
                List<Long> part = new ArrayList<>();
                tracker.peek(0, 6 * PAGE, (offset, length) -> part.add(offset));
                assertEquals(List.of(), part);
                tracker.collect(6 * PAGE, PAGE, (offset, length) -> part.add(offset));
                assertEquals(List.of(6 * PAGE), part);
                assertEquals(0, tracker.dirtyBytes());
            }
            write(region, 8);
        }
        ProcessState.assertDescriptors(descriptors);
    }

    /** More ranges than the kernel's vector and the library's have room for. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "inline", "shared inline", "unpopulated"})
    void manyRanges(String kind) throws Exception {
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            BitSet expected = new BitSet();
            for (int page = 0; page < PAGES; page += 2) {
                write(region, page);
                expected.set(page);
            }
            assertEquals(expected, pages(tracker, false));
            assertEquals(expected, pages(tracker, true));
            assertEquals(of(), pages(tracker, true));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "inline", "shared inline", "unpopulated"})
    void pagesTakenAwayAreReportedAndTrackedAgain(String kind) throws Exception {
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            for (int page = 0; page < 20; page++) {
                write(region, page);
            }
            tracker.collect((offset, length) -> { });
            if (kind.startsWith("shared")) {
                region.punchHole(3 * PAGE, 2 * PAGE);
            } else {
                region.discard(3 * PAGE, 2 * PAGE);
            }
            assertEquals(of(3, 4), pages(tracker, true));
            assertEquals(of(), pages(tracker, true));
            assertEquals(0, region.asByteBuffer(3 * PAGE + 17, 1).get(0));
            assertEquals(of(), pages(tracker, true));
            write(region, 4);
            assertEquals(of(4), pages(tracker, true));
        }
    }

    /** The kernel may have come to some of the pages before it met what it refuses: their protection is gone with them. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "inline"})
    void pagesOfACallThatFailedCountAsWritten(String kind) throws Exception {
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            assertThrows(UffdException.class, () -> region.punchHole(PAGE, 2 * PAGE));
            assertEquals(of(1, 2), pages(tracker, true));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "inline"})
    void aConsumerThatThrowsLosesNothing(String kind) throws Exception {
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            BitSet expected = new BitSet();
            for (int page = 0; page < PAGES; page += 2) {
                write(region, page);
                expected.set(page);
            }
            BitSet seen = new BitSet();
            assertThrows(IllegalArgumentException.class, () -> tracker.collect((offset, length) -> {
                if (seen.cardinality() == 300) {
                    throw new IllegalArgumentException();
                }
                seen.set((int) (offset / PAGE));
            }));
            // The range that it was given when it threw counts as taken.
            expected.andNot(seen);
            expected.clear(600);
            assertEquals(expected, pages(tracker, true));
        }
    }

    /** Random writers and a model that knows every write: nothing is missed, nothing is invented. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "inline", "shared inline", "unpopulated"})
    void aThousandRoundsAgainstAModel(String kind) throws Exception {
        int rounds = ChildJvm.rounds(1000);
        int writers = 3;
        AtomicReference<Throwable> failure = new AtomicReference<>();
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            ByteBuffer memory = region.asByteBuffer(0, (int) region.size());
            AtomicIntegerArray written = new AtomicIntegerArray(PAGES);
            Phaser meeting = new Phaser(writers + 1);
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < writers; i++) {
                SplittableRandom random = new SplittableRandom(i);
                threads.add(new Thread(() -> {
                    try {
                        for (int round = 0; round < rounds; round++) {
                            for (int n = 0; n < 30; n++) {
                                int page = random.nextInt(PAGES);
                                memory.put((int) (page * PAGE) + random.nextInt((int) PAGE), (byte) round);
                                written.set(page, 1);
                            }
                            meeting.arriveAndAwaitAdvance();
                            meeting.arriveAndAwaitAdvance();
                        }
                    } catch (Throwable e) {
                        failure.compareAndSet(null, e);
                    } finally {
                        meeting.arriveAndDeregister(); // nobody waits for who will not come
                    }
                }));
            }
            threads.forEach(Thread::start);
            for (int round = 0; round < rounds && failure.get() == null; round++) {
                BitSet during = pages(tracker, true); // while the writers write
                meeting.arriveAndAwaitAdvance();
                during.or(pages(tracker, true));
                BitSet expected = new BitSet();
                for (int page = 0; page < PAGES; page++) {
                    expected.set(page, written.getAndSet(page, 0) == 1);
                }
                assertEquals(expected, during, "round " + round);
                meeting.arriveAndAwaitAdvance();
            }
            meeting.arriveAndDeregister();
            for (Thread each : threads) {
                each.join();
            }
        }
        assertEquals(null, failure.get());
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "inline"})
    void collectingInALoopAllocatesNothing(String kind) throws Exception {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        int collects = ChildJvm.rounds(5000);
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind)) {
            ByteBuffer memory = region.asByteBuffer(0, (int) region.size());
            long[] sum = new long[1];
            RangeConsumer consumer = (offset, length) -> sum[0] += length;
            long allocated = -1;
            for (int round = 0; round < 30 && allocated != 0; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < collects; i++) {
                    memory.put((int) (i % PAGES * PAGE), (byte) i);
                    tracker.collect(consumer);
                }
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            }
            assertEquals(0, allocated, "bytes in " + collects + " collects");
            assertTrue(sum[0] >= collects * PAGE);
        }
    }

    /** Huge pages are told apart by the size of the region's pages, or more finely. */
    @ParameterizedTest
    @ValueSource(strings = {"kernel", "inline"})
    void hugePages(String kind) throws Exception {
        HugePages.need();
        Needs.features(Feature.WP_HUGETLBFS_SHMEM);
        try (MemoryRegion region = MemoryRegion.hugePages(4 * HugePages.SIZE, PageSize.of(HugePages.SIZE));
                DirtyTracker tracker = start(region, kind)) {
            region.asByteBuffer(2 * HugePages.SIZE + 5, 1).put(0, (byte) 1);
            List<Long> seen = new ArrayList<>();
            tracker.collect((offset, length) -> seen.addAll(List.of(offset, length)));
            assertEquals(List.of(2 * HugePages.SIZE, HugePages.SIZE), seen);
            assertEquals(0, tracker.dirtyBytes());
        } finally {
            HugePages.giveBack();
        }
    }

    /** The kernel notes a direct read when it pins the pages, and their bytes come later: what a collect in between took is stale. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "inline"})
    void directReadsAreReported(String kind) throws Exception {
        int piece = 1 << 20;
        int size = ChildJvm.rounds(16) * piece;
        Path file = directory.resolve("file");
        byte[] content = new byte[size];
        new Random(3).nextBytes(content);
        Files.write(file, content);
        try (MemoryRegion region = kind.equals("shared") ? MemoryRegion.shared(size) : MemoryRegion.anonymous(size);
                DirtyTracker tracker = start(region, kind); FileChannel channel = direct(file)) {
            ByteBuffer copy = ByteBuffer.allocateDirect(size);
            RangeConsumer copies = (offset, length) -> copy.slice((int) offset, (int) length)
                    .put(region.asByteBuffer(offset, (int) length));
            CompletableFuture<Void> reads = CompletableFuture.runAsync(() -> {
                for (int at = 0; at < size; at += piece) {
                    try (WriteWindow window = tracker.prepareWrite(at, piece)) {
                        assertEquals(piece, channel.read(region.asByteBuffer(at, piece), at), window::toString);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                }
            });
            while (!reads.isDone()) {
                tracker.collect(copies);
            }
            reads.join();
            tracker.collect(copies);
            assertEquals(-1, copy.clear().mismatch(ByteBuffer.wrap(content)));
        }
    }

    private static FileChannel direct(Path file) throws Exception {
        // By its name, because to name it is a warning of the compiler.
        OpenOption direct = (OpenOption) Class.forName("com.sun.nio.file.ExtendedOpenOption").getField("DIRECT").get(null);
        try {
            return FileChannel.open(file, StandardOpenOption.READ, direct);
        } catch (IOException | UnsupportedOperationException e) {
            Assumptions.abort("no direct I/O with the file system of " + file + ": " + e.getMessage());
            throw e;
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "inline"})
    void aWindowIsReportedWhenItIsClosed(String kind) throws Exception {
        Path file = directory.resolve("file");
        Files.write(file, new byte[(int) PAGE]);
        try (MemoryRegion region = region(kind); DirtyTracker tracker = start(region, kind);
                FileChannel channel = FileChannel.open(file)) {
            assertEquals(of(), pages(tracker, true));
            WriteWindow window = tracker.prepareWrite(3 * PAGE + 5, PAGE);
            assertEquals(PAGE - 5, channel.read(region.asByteBuffer(3 * PAGE + 5, (int) PAGE - 5), 0));
            CompletableFuture<BitSet> collected = CompletableFuture.supplyAsync(() -> pages(tracker, true));
            if (kind.equals("inline")) { // it would protect the range again
                Thread.sleep(50);
                assertFalse(collected.isDone());
            } else {
                assertEquals(of(3), collected.get());
                assertEquals(of(), pages(tracker, true));
            }
            window.close();
            window.close();
            assertEquals(of(3, 4), kind.equals("inline") ? collected.get() : pages(tracker, true));
            assertEquals(of(), pages(tracker, true));
            tracker.prepareWrite(7, 0).close();
            assertEquals(of(), pages(tracker, true));
            assertThrows(IndexOutOfBoundsException.class, () -> tracker.prepareWrite(region.size(), 1));
        }
    }

    @Test
    void aCloseEndsACollectThatWaitsForAWindow() throws Exception {
        try (MemoryRegion region = region("anonymous")) {
            DirtyTracker tracker = start(region, "inline");
            WriteWindow window = tracker.prepareWrite(0, PAGE);
            CompletableFuture<BitSet> waiting = CompletableFuture.supplyAsync(() -> pages(tracker, true));
            Thread.sleep(20);
            tracker.close();
            assertTrue(assertThrows(ExecutionException.class, waiting::get).getMessage().contains("closed"));
            window.close();
            assertThrows(IllegalStateException.class, () -> tracker.prepareWrite(0, PAGE));
        }
    }

    @Test
    void oneOwnerARegion() throws Exception {
        Needs.features(Feature.WP_ASYNC);
        try (MemoryRegion region = region("anonymous")) {
            try (DirtyTracker tracker = DirtyTracker.start(region)) {
                assertTrue(assertThrows(IllegalStateException.class, () -> Pager.of(region, PageSource.zeros()).start())
                        .getMessage().contains("DirtyTracker"), tracker.toString());
            }
            try (Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.THREAD).start()) {
                assertTrue(assertThrows(IllegalStateException.class, () -> DirtyTracker.start(region)).getMessage()
                        .contains(pager.toString()));
            }
        }
    }

    @Test
    void closedMeansClosed() throws Exception {
        Needs.features(Feature.WP_ASYNC);
        MemoryRegion region = region("anonymous");
        DirtyTracker tracker = DirtyTracker.start(region);
        assertThrows(NullPointerException.class, () -> tracker.collect(null));
        write(region, 1);
        assertThrows(IllegalStateException.class, () -> tracker.collect((offset, length) -> tracker.dirtyBytes()));
        assertThrows(IllegalArgumentException.class, () -> tracker.peek(1, PAGE, (offset, length) -> { }));
        assertThrows(IndexOutOfBoundsException.class, () -> tracker.peek(0, region.size() + PAGE, (offset, length) -> { }));
        region.close();
        assertThrows(IllegalStateException.class, () -> tracker.collect((offset, length) -> { }));
        assertTrue(tracker.toString().contains("closed"));
        tracker.close();
        assertThrows(IllegalStateException.class, () -> DirtyTracker.start(region));
    }
}
