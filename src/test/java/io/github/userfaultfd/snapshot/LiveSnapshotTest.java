// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.Needs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a snapshot and a snapshotter do, one thread at a time; under load: SnapshotInstantTest. */
@Timeout(120)
class LiveSnapshotTest {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final int PAGES = 500;

    @TempDir
    private Path directory;

    @BeforeEach
    void needsTheKernel() {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
    }

    private static MemoryRegion region(String kind) throws IOException {
        if (kind.equals("shared")) {
            Needs.features(Feature.WP_HUGETLBFS_SHMEM);
            return MemoryRegion.shared((long) PAGES * PAGE);
        }
        return MemoryRegion.anonymous((long) PAGES * PAGE);
    }

    /** "unpopulated": as on kernels that do not protect pages which were never touched. */
    private static Snapshotter start(MemoryRegion region, String kind) throws IOException {
        SnapshotterBuilder builder = Snapshotter.of(region);
        return (kind.equals("unpopulated") ? builder.leaveOutUnpopulated() : builder).start();
    }

    private static void fill(MemoryRegion region, int seed) {
        for (int page = 0; page < PAGES; page++) {
            write(region, page, seed);
        }
    }

    private static void write(MemoryRegion region, int page, int seed) {
        ByteBuffer bytes = region.asByteBuffer((long) page * PAGE, PAGE);
        for (int i = 0; i < PAGE; i += Integer.BYTES) {
            bytes.putInt(i, seed * 31 + page * 7 + i);
        }
    }

    private static byte[] bytes(MemoryRegion region) {
        byte[] bytes = new byte[(int) region.size()];
        region.asByteBuffer(0, bytes.length).get(bytes);
        return bytes;
    }

    private static byte[] image(LiveSnapshot snapshot) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assertEquals(snapshot.size(), snapshot.writeTo(Channels.newChannel(out)));
        return out.toByteArray();
    }

    private static BitSet changed(LiveSnapshot snapshot) {
        BitSet pages = new BitSet();
        long[] last = {-1};
        snapshot.changed((offset, length) -> {
            assertTrue(offset > last[0], "ranges ascend and do not touch");
            last[0] = offset + length;
            pages.set((int) (offset / PAGE), (int) ((offset + length) / PAGE));
        });
        return pages;
    }

    private static BitSet of(int... pages) {
        BitSet set = new BitSet();
        Arrays.stream(pages).forEach(set::set);
        return set;
    }

    private static BitSet all() {
        BitSet set = new BitSet();
        set.set(0, PAGES);
        return set;
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "unpopulated"})
    void theImageStaysWhatItWas(String kind) throws Exception {
        int descriptors = ProcessState.descriptors();
        try (MemoryRegion region = region(kind); Snapshotter snapshotter = start(region, kind)) {
            for (int round = 0; round < 5; round++) {
                // Some pages are never touched before the last round.
                for (int page = 0; page < PAGES; page += round == 4 ? 1 : 1 + round) {
                    write(region, page, round);
                }
                byte[] before = bytes(region);
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    for (int page = 0; page < PAGES; page += 3) {
                        write(region, page, 100 + round);
                        write(region, page, 200 + round);
                    }
                    byte[] after = bytes(region);
                    assertArrayEquals(before, image(snapshot));
                    assertArrayEquals(before, image(snapshot), "it can be read again");
                    assertArrayEquals(after, bytes(region));
                    write(region, PAGES - 1, 300);
                    assertArrayEquals(before, image(snapshot));
                }
            }
        }
        ProcessState.assertDescriptors(descriptors);
    }

    @Test
    void oneSnapshotWithoutASnapshotter() throws Exception {
        try (MemoryRegion region = region("anonymous")) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = LiveSnapshot.begin(region)) {
                assertThrows(IllegalStateException.class, () -> LiveSnapshot.begin(region));
                fill(region, 2);
                assertArrayEquals(before, image(snapshot));
                assertEquals(all(), changed(snapshot));
            }
            try (DirtyTracker tracker = DirtyTracker.start(region)) {
                assertEquals(0, tracker.dirtyBytes(), "nobody has the region's faults any more: " + tracker);
            }
            try (Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.THREAD).start()) {
                assertTrue(assertThrows(IllegalStateException.class, () -> LiveSnapshot.begin(region)).getMessage()
                        .contains(pager.toString()));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "unpopulated"})
    void changedIsExactlyWhatWasWritten(String kind) throws Exception {
        try (MemoryRegion region = region(kind); Snapshotter snapshotter = start(region, kind)) {
            try (LiveSnapshot first = snapshotter.begin()) {
                assertEquals(all(), changed(first));
                write(region, 7, 1); // during a snapshot: belongs to the next
                assertEquals(all(), changed(first));
            }
            write(region, 0, 2);
            write(region, 8, 2);
            region.asByteBuffer(100 * PAGE, 1).get(0);
            try (LiveSnapshot second = snapshotter.begin()) {
                assertEquals(of(0, 7, 8), changed(second));
                assertEquals(3 * PAGE, second.changedBytes());
                second.keepChanged();
                write(region, 499, 3);
            }
            try (LiveSnapshot third = snapshotter.begin()) {
                assertEquals(of(0, 7, 8, 499), changed(third));
            }
            try (LiveSnapshot fourth = snapshotter.begin()) {
                assertEquals(of(), changed(fourth));
            }
        }
        try (MemoryRegion region = region(kind)) {
            write(region, 3, 1);
            SnapshotterBuilder builder = Snapshotter.of(region).startUnchanged(true);
            try (Snapshotter snapshotter = (kind.equals("unpopulated") ? builder.leaveOutUnpopulated() : builder).start()) {
                write(region, 4, 1);
                try (LiveSnapshot first = snapshotter.begin()) {
                    assertEquals(of(4), changed(first));
                }
            }
        }
    }

    /** More runs than are protected one by one, and more ranges than are given in one call. */
    @Test
    void manyRuns() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4000L * PAGE);
                Snapshotter snapshotter = Snapshotter.of(region).start()) {
            snapshotter.begin().close();
            for (int step : new int[] {2, 1000, 3}) {
                BitSet expected = new BitSet();
                for (int page = 0; page < 4000; page += step) {
                    write(region, page, step);
                    expected.set(page);
                }
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    assertEquals(expected, changed(snapshot));
                }
            }
        }
    }

    @Test
    void readsLikeAFile() throws Exception {
        try (MemoryRegion region = region("anonymous")) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = LiveSnapshot.begin(region)) {
                write(region, 1, 2);
                assertEquals(region.size(), snapshot.size());
                assertEquals(PAGE, snapshot.pageSize());
                for (ByteBuffer buffer : List.of(ByteBuffer.allocate(3 * PAGE), ByteBuffer.allocateDirect(3 * PAGE),
                        region.asByteBuffer(10 * PAGE, 3 * PAGE))) {
                    buffer.position(5);
                    assertEquals(3 * PAGE - 5, snapshot.read(100, buffer));
                    assertFalse(buffer.hasRemaining());
                    byte[] read = new byte[3 * PAGE - 5];
                    buffer.position(5).get(read);
                    assertArrayEquals(Arrays.copyOfRange(before, 100, 100 + read.length), read);
                }
                ByteBuffer buffer = ByteBuffer.allocate(100);
                assertEquals(10, snapshot.read(snapshot.size() - 10, buffer));
                assertEquals(10, buffer.position());
                assertEquals(-1, snapshot.read(snapshot.size(), buffer));
                assertEquals(-1, snapshot.read(Long.MAX_VALUE, buffer));
                assertEquals(0, snapshot.read(7, ByteBuffer.allocate(0)));
                assertThrows(IllegalArgumentException.class, () -> snapshot.read(-1, buffer));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "unpopulated"})
    void pagesTakenAwayAreSavedBefore(String kind) throws Exception {
        try (MemoryRegion region = region(kind); Snapshotter snapshotter = start(region, kind)) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                takeAway(region, kind);
                assertEquals(0, region.asByteBuffer(3L * PAGE, 4).getInt(0));
                assertArrayEquals(before, image(snapshot));
            }
            byte[] without = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                assertEquals(of(3, 4), changed(snapshot));
                write(region, 4, 9);
                assertArrayEquals(without, image(snapshot));
            }
            takeAway(region, kind);
            write(region, 4, 10);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                assertEquals(of(3, 4), changed(snapshot));
                byte[] now = bytes(region);
                write(region, 3, 11);
                write(region, 4, 11);
                assertArrayEquals(now, image(snapshot));
            }
        }
    }

    private static void takeAway(MemoryRegion region, String kind) throws IOException {
        if (kind.equals("shared")) {
            region.punchHole(3L * PAGE, 2L * PAGE);
        } else {
            region.discard(3L * PAGE, 2L * PAGE);
        }
    }

    /** The kernel does not write to protected pages: EFAULT, unless they were prepared. */
    @Test
    void systemCalls() throws Exception {
        Path file = directory.resolve("file");
        Files.write(file, new byte[3 * PAGE]);
        try (MemoryRegion region = region("anonymous"); Snapshotter snapshotter = Snapshotter.of(region).start();
                FileChannel channel = FileChannel.open(file)) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                assertThrows(IOException.class, () -> channel.read(region.asByteBuffer(10L * PAGE, 3 * PAGE), 0));
                try (WriteWindow window = snapshotter.prepareWrite(10L * PAGE + 1, 3 * PAGE - 2)) {
                    assertEquals(3 * PAGE, channel.read(region.asByteBuffer(10L * PAGE, 3 * PAGE), 0), window.toString());
                }
                assertEquals(0, region.asByteBuffer(10L * PAGE, 4).getInt(0));
                assertArrayEquals(before, image(snapshot));
            }
            WriteWindow window = snapshotter.prepareWrite(20L * PAGE, PAGE);
            Thread begins = new Thread(() -> {
                try {
                    snapshotter.begin().close();
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
            begins.start();
            Thread.sleep(50);
            assertTrue(begins.isAlive(), "no snapshot begins while a window is open");
            window.close();
            window.close();
            begins.join();
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                assertEquals(of(), changed(snapshot));
            }
            assertThrows(IndexOutOfBoundsException.class, () -> snapshotter.prepareWrite(region.size(), 1));
        }
    }

    @Test
    void beyondTheLimitPagesGoToAFile() throws Exception {
        int descriptors = ProcessState.descriptors();
        try (MemoryRegion region = region("anonymous"); Snapshotter snapshotter = Snapshotter.of(region)
                .memoryLimit(10L * PAGE).spillTo(directory).start()) {
            for (int round = 0; round < 3; round++) {
                fill(region, round);
                byte[] before = bytes(region);
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    for (int page = 0; page < 100; page++) {
                        write(region, page, 50 + round);
                    }
                    assertEquals(10L * PAGE, snapshot.savedBytes());
                    assertEquals(90L * PAGE, snapshot.spilledBytes());
                    assertArrayEquals(before, image(snapshot));
                    snapshot.release(0, 5L * PAGE);
                    assertEquals(5L * PAGE, snapshot.savedBytes());
                    write(region, 200, 50 + round);
                    assertEquals(6L * PAGE, snapshot.savedBytes());
                }
            }
            try (Stream<Path> files = Files.list(directory)) {
                assertEquals(0, files.count(), "the file has no name");
            }
        }
        ProcessState.assertDescriptors(descriptors);
        try (MemoryRegion region = region("anonymous")) {
            assertThrows(IOException.class, () -> Snapshotter.of(region).spillTo(directory.resolve("none")).start());
            LiveSnapshot.begin(region).close();
        }
    }

    @Test
    void beyondTheLimitWithoutAFileTheSnapshotIsLost() throws Exception {
        try (MemoryRegion region = region("anonymous"); Snapshotter snapshotter = Snapshotter.of(region)
                .memoryLimit(10L * PAGE).start()) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                for (int page = 0; page < 10; page++) {
                    write(region, page, 2);
                }
                assertArrayEquals(before, image(snapshot));
                write(region, 10, 2);
                write(region, 11, 2);
                UffdException lost = assertThrows(UffdException.class, () -> image(snapshot));
                assertEquals(Abi.ENOSPC, lost.errno());
                assertTrue(lost.getMessage().contains("memory limit"), lost.getMessage());
                assertThrows(UffdException.class, () -> snapshot.read(400L * PAGE, ByteBuffer.allocate(1)));
            }
            byte[] now = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                write(region, 10, 3);
                assertArrayEquals(now, image(snapshot), "the next one is not affected");
            }
        }
    }

    @Test
    void drainedPartsAreGone() throws Exception {
        try (MemoryRegion region = region("anonymous"); Snapshotter snapshotter = Snapshotter.of(region).start()) {
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                write(region, 0, 2);
                write(region, 499, 2);
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                // As channels may: a few bytes a call.
                WritableByteChannel slow = new WritableByteChannel() {
                    @Override
                    public int write(ByteBuffer from) {
                        byte[] some = new byte[Math.min(from.remaining(), 10_007)];
                        from.get(some);
                        out.writeBytes(some);
                        return some.length;
                    }

                    @Override
                    public boolean isOpen() {
                        return true;
                    }

                    @Override
                    public void close() {
                    }
                };
                assertEquals(region.size(), snapshot.drainTo(slow));
                assertArrayEquals(before, out.toByteArray());
                assertEquals(0, snapshot.savedBytes());
                write(region, 1, 2);
                assertEquals(0, snapshot.savedBytes(), "nothing is saved any more");
                assertEquals(Abi.ENODATA,
                        assertThrows(UffdException.class, () -> snapshot.read(0, ByteBuffer.allocate(1))).errno());
            }
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                assertEquals(of(0, 1, 499), changed(snapshot));
                snapshot.release(0, PAGE);
                assertThrows(IllegalArgumentException.class, () -> snapshot.release(1, PAGE));
                assertThrows(IndexOutOfBoundsException.class, () -> snapshot.release(0, region.size() + PAGE));
            }
        }
    }

    @Test
    void sequentialWritersOpenAhead() throws Exception {
        try (MemoryRegion region = region("anonymous"); Snapshotter snapshotter = Snapshotter.of(region)
                .openAhead(16L * PAGE).start()) {
            snapshotter.begin().close();
            fill(region, 1);
            byte[] before = bytes(region);
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                for (int page = 100; page < 200; page++) {
                    write(region, page, 2);
                }
                assertTrue(snapshot.savedBytes() >= 100L * PAGE && snapshot.savedBytes() <= 132L * PAGE,
                        snapshot.savedBytes() + " bytes");
                assertArrayEquals(before, image(snapshot));
            }
            try (LiveSnapshot snapshot = snapshotter.begin()) {
                BitSet changed = changed(snapshot);
                assertEquals(100, changed.nextSetBit(0));
                assertTrue(changed.cardinality() > 100 && changed.cardinality() <= 132, changed.toString());
                write(region, 300, 3);
                assertEquals(PAGE, snapshot.savedBytes(), "a single write opens its page only");
            }
        }
    }

    /** Pages that were not brought yet are in the image as the source has them. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared"})
    void pagedRegions(String kind) throws Exception {
        MemoryRegion region = region(kind);
        try (MemoryRegion source = MemoryRegion.anonymous((long) PAGES * PAGE)) {
            fill(source, 1);
            byte[] before = bytes(source);
            Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).engine(FaultEngine.INLINE)
                    .faultAround(PAGE).start();
            assertEquals(before[7 * PAGE], region.asByteBuffer(7L * PAGE, 1).get(0));
            try (Snapshotter snapshotter = Snapshotter.of(region).startUnchanged(true).start()) {
                write(region, 8, 2);
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    assertEquals(of(8), changed(snapshot));
                    byte[] with = before.clone();
                    region.asByteBuffer(8L * PAGE, PAGE).get(with, 8 * PAGE, PAGE);
                    write(region, 7, 3);
                    write(region, 8, 3);
                    write(region, 9, 3);
                    if (kind.equals("anonymous")) {
                        region.discard(8L * PAGE, 5L * PAGE);
                    }
                    pager.prefetch(100L * PAGE, 10L * PAGE);
                    write(region, 105, 3);
                    assertTrue(pager.stats().pages() < 30, "nothing but what was asked for was brought: " + pager.stats());
                    assertArrayEquals(with, image(snapshot));
                    assertTrue(assertThrows(IllegalStateException.class, pager::close).getMessage().contains("Snapshotter"));
                    assertThrows(IllegalStateException.class, () -> DirtyTracker.start(region));
                }
                if (kind.equals("anonymous")) {
                    try (LiveSnapshot snapshot = snapshotter.begin()) {
                        assertEquals(of(7, 8, 9, 10, 11, 12, 105), changed(snapshot));
                        assertEquals(before[9 * PAGE], region.asByteBuffer(9L * PAGE, 1).get(0), "the source's again");
                    }
                    region.discard(200L * PAGE, PAGE);
                    try (WriteWindow window = snapshotter.prepareWrite(200L * PAGE, PAGE);
                            FileChannel zero = FileChannel.open(Path.of("/dev/zero"))) {
                        assertEquals(PAGE, zero.read(region.asByteBuffer(200L * PAGE, PAGE)), window.toString());
                    }
                }
            }
            region.discard(300L * PAGE, PAGE);
            write(region, 8, 4);
            write(region, 300, 4);
            try (DirtyTracker tracker = DirtyTracker.start(region)) {
                write(region, 400, 5);
                region.asByteBuffer(401L * PAGE, 1).get(0);
                BitSet dirty = new BitSet();
                tracker.collect((offset, length) -> dirty.set((int) (offset / PAGE), (int) ((offset + length) / PAGE)));
                assertEquals(of(400), dirty);
            }
            pager.close();
            assertEquals(before[450 * PAGE], region.asByteBuffer(450L * PAGE, 1).get(0));
            Pager second = Pager.of(region, PageSource.memory(source.address(), source.size())).start();
            LiveSnapshot last = LiveSnapshot.begin(region);
            region.close();
            assertThrows(IllegalStateException.class, last::savedBytes);
            assertThrows(IllegalStateException.class, second::stats);
        }
    }

    @Test
    void hugePages() throws Exception {
        Needs.features(Feature.WP_HUGETLBFS_SHMEM);
        HugePages.need();
        int size = (int) HugePages.SIZE;
        try (MemoryRegion region = MemoryRegion.hugePages(4L * size, PageSize.of(size));
                Snapshotter snapshotter = Snapshotter.of(region).start()) {
            for (int round = 0; round < 3; round++) {
                ByteBuffer memory = region.asByteBuffer(0, 4 * size).order(ByteOrder.nativeOrder());
                memory.putInt(size + 4, 1000 + round);
                byte[] before = bytes(region);
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    memory.putInt(size + 4, 2000);
                    memory.putInt(3 * size + 4, 2000 + round);
                    assertEquals(2L * size, snapshot.savedBytes());
                    assertArrayEquals(before, image(snapshot));
                    if (round > 0) {
                        BitSet huge = new BitSet();
                        snapshot.changed((offset, length) -> huge.set((int) (offset / size), (int) ((offset + length) / size)));
                        assertEquals(of(1, 3), huge);
                    }
                    ByteArrayOutputStream out = new ByteArrayOutputStream();
                    snapshot.drainTo(Channels.newChannel(out));
                    assertArrayEquals(before, out.toByteArray());
                    assertEquals(0, snapshot.savedBytes());
                }
            }
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void closedMeansClosed() throws Exception {
        MemoryRegion region = region("anonymous");
        fill(region, 1);
        Snapshotter snapshotter = Snapshotter.of(region).start();
        LiveSnapshot early = snapshotter.begin();
        assertThrows(IllegalStateException.class, snapshotter::begin);
        early.close();
        early.close();
        assertTrue(early.toString().contains("closed"));
        assertThrows(IllegalStateException.class, () -> early.read(0, ByteBuffer.allocate(1)));
        assertThrows(IllegalStateException.class, () -> early.changed((offset, length) -> { }));
        assertThrows(IllegalStateException.class, () -> early.release(0, PAGE));
        fill(region, 2);
        LiveSnapshot open = snapshotter.begin();
        snapshotter.close();
        assertTrue(snapshotter.toString().contains("closed"));
        assertThrows(IllegalStateException.class, open::savedBytes);
        assertThrows(IllegalStateException.class, snapshotter::begin);
        assertThrows(IllegalStateException.class, () -> snapshotter.prepareWrite(0, 1));
        snapshotter.close();
        fill(region, 3); // nothing is protected
        Snapshotter again = Snapshotter.of(region).start();
        LiveSnapshot last = again.begin();
        region.close();
        assertThrows(IllegalStateException.class, last::savedBytes);
        assertThrows(IllegalStateException.class, again::begin);
        assertThrows(IllegalStateException.class, () -> Snapshotter.of(region));
        assertThrows(IllegalArgumentException.class, () -> builder().memoryLimit(-1));
        assertThrows(IllegalArgumentException.class, () -> builder().openAhead(-1));
    }

    private static SnapshotterBuilder builder() throws IOException {
        try (MemoryRegion region = region("anonymous")) {
            return Snapshotter.of(region);
        }
    }
}
