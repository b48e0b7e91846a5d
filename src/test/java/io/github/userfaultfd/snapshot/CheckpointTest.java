// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.checkpoint.CheckpointDirectory;
import io.github.userfaultfd.checkpoint.CheckpointWriter;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Close;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Mounts;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.OrdinaryUser;
import io.github.userfaultfd.support.Trees;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Series of checkpoints of a region that is written meanwhile. */
class CheckpointTest {
    private static final int PAGE = (int) Ranges.PAGE;
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    @TempDir
    Path directory;
    private final Random random = new Random(11);

    @BeforeEach
    void needs() {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
    }

    private static byte[] content(MemoryRegion region) {
        byte[] bytes = new byte[(int) region.size()];
        region.asByteBuffer(0, bytes.length).get(bytes);
        return bytes;
    }

    /** Not at the end of the first save, and of each one after it. */
    @Test
    void aRegionThatIsTooLargeIsRefusedAtOnce() throws Exception {
        MemoryRegion region;
        try {
            region = MemoryRegion.anonymous((2L << 40) + PAGE);
        } catch (UffdException e) {
            org.junit.jupiter.api.Assumptions.abort("no 2 TiB of addresses: " + e.getMessage());
            return;
        }
        try (region) {
            String message = assertThrows(IllegalArgumentException.class, () -> Checkpoint.of(region, directory).open()).getMessage();
            assertTrue(message.contains("has an index that is too large"), message);
        }
        try (Stream<Path> files = Files.list(directory)) {
            assertEquals(0, files.count());
        }
    }

    private void scribble(MemoryRegion region, int times) {
        for (int i = 0; i < times; i++) {
            int at = random.nextInt((int) region.size() - 8);
            region.asByteBuffer(at, 8).putLong(0, random.nextLong());
        }
    }

    private static MemoryRegion region(String kind, long bytes) throws Exception {
        if (kind.equals("shared")) {
            Needs.features(Feature.WP_HUGETLBFS_SHMEM);
            return MemoryRegion.shared(bytes);
        }
        return MemoryRegion.anonymous(bytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "compressed"})
    void eachSaveCanBeRestored(String kind) throws Exception {
        try (MemoryRegion region = region(kind, 300L * PAGE);
                MemoryRegion other = region(kind, region.size());
                Checkpoint checkpoint = Checkpoint.of(region, directory).increments(5)
                        .compression(kind.equals("compressed") ? Compression.ZSTD : Compression.NONE).open()) {
            int full = 0;
            for (int i = 1; i <= 30; i++) {
                scribble(region, random.nextInt(60));
                region.asByteBuffer(0, 4).putInt(0, i);
                assertEquals(i, checkpoint.save());
                byte[] saved = content(region);
                assertEquals(i, Checkpoint.restore(directory, other));
                assertArrayEquals(saved, content(other));
                List<String> names = Trees.names(directory);
                assertEquals(1, names.stream().filter(each -> each.endsWith(".full")).count(), names::toString);
                assertTrue(names.size() <= 1 + 5 + 1, names::toString);
                full += Checkpoint.info(directory).increments() == 0 ? 1 : 0;
            }
            assertTrue(full >= 5, "full: " + full);
            assertEquals(30, checkpoint.save(), "nothing was written");
        }
    }

    @Test
    void anIncrementHasWhatWasWritten() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(1000L * PAGE);
                Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
            scribble(region, 20_000);
            checkpoint.save();
            region.asByteBuffer(17L * PAGE, 1).put(0, (byte) 1);
            region.asByteBuffer(500L * PAGE, 1).put(0, (byte) 1);
            checkpoint.save();
            long bytes = Files.size(directory.resolve("0000000002.increment"));
            assertTrue(bytes >= 2 * PAGE && bytes < 3 * PAGE, bytes + " bytes");
        }
    }

    /** Large increments make the next full one come earlier than asked. */
    @Test
    void incrementsAreBoundedByTheirSizeToo() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(64L * PAGE);
                Checkpoint checkpoint = Checkpoint.of(region, directory).increments(1000).open()) {
            for (int i = 0; i < 20; i++) {
                scribble(region, 500);
                checkpoint.save();
                assertTrue(Checkpoint.info(directory).increments() <= 2);
            }
        }
    }

    /** The image is one instant: the writer's number steps down at most once from the first page to the last, by one. */
    @Test
    @Timeout(300)
    void aSaveIsOneInstantWhileWritersGoOn() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(256L * PAGE);
                MemoryRegion other = MemoryRegion.anonymous(region.size());
                Checkpoint checkpoint = Checkpoint.of(region, directory).increments(3).open();
                Crew writer = new Crew()) {
            ByteBuffer all = region.asByteBuffer(0, (int) region.size());
            AtomicLong written = new AtomicLong();
            writer.repeat(() -> {
                long n = written.get() + 1;
                for (int page = 0; page < 256; page++) {
                    all.putLong(page * PAGE + 8, n);
                }
                written.set(n);
            });
            long before = 0;
            for (int i = 0; i < ChildJvm.rounds(60); i++) {
                while (written.get() <= before && !writer.hasFailed()) {
                    Thread.onSpinWait();
                }
                long number = checkpoint.save();
                assertEquals(number, Checkpoint.restore(directory, other));
                ByteBuffer image = other.asByteBuffer(0, (int) other.size());
                int steps = 0;
                for (int page = 1; page < 256; page++) {
                    long difference = image.getLong((page - 1) * PAGE + 8) - image.getLong(page * PAGE + 8);
                    assertTrue(difference == 0 || difference == 1, "page " + page + ": " + difference);
                    steps += (int) difference;
                }
                assertTrue(steps <= 1, steps + " steps");
                long now = image.getLong(8);
                assertTrue(now > before, now + " after " + before);
                before = now;
            }
        }
    }

    /** The life of a store: saved, restored, gone on with, also while its pages still come lazily. */
    @Test
    void goesOnAfterARestore() throws Exception {
        byte[] saved;
        try (MemoryRegion region = MemoryRegion.anonymous(200L * PAGE);
                Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
            scribble(region, 5000);
            checkpoint.save();
            scribble(region, 10);
            checkpoint.save();
            saved = content(region);
        }
        for (boolean lazily : new boolean[] {false, true}) {
            try (MemoryRegion region = MemoryRegion.anonymous(200L * PAGE)) {
                if (lazily) {
                    Pager.of(region, PageSource.checkpoint(directory)).start(); // and its pages are missing when the series begins
                } else {
                    Checkpoint.restore(directory, region);
                    assertArrayEquals(saved, content(region));
                }
                long before = Checkpoint.info(directory).number();
                try (Checkpoint checkpoint = Checkpoint.of(Snapshotter.of(region).startUnchanged(true), directory).open()) {
                    assertEquals(before, checkpoint.save(), "nothing was written since");
                    scribble(region, 3);
                    assertEquals(before + 1, checkpoint.save());
                    saved = content(region);
                }
                assertTrue(Files.exists(directory.resolve("%010d.increment".formatted(before + 1))));
            }
        }
        try (MemoryRegion region = MemoryRegion.anonymous(200L * PAGE)) {
            Checkpoint.restore(directory, region);
            assertArrayEquals(saved, content(region));
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                long number = checkpoint.save(); // whether it was restored is not known, so this one is full
                assertEquals(List.of("%010d.full".formatted(number), "lock"), Trees.names(directory));
            }
        }
    }

    /** Somebody restored, the other one saved once more, and only then the first goes on: its region is not what the newest file has. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void goesOnWithAFullOneAfterSomebodyElseSaved(boolean lazily) throws Exception {
        try (MemoryRegion one = MemoryRegion.anonymous(50L * PAGE); MemoryRegion two = MemoryRegion.anonymous(one.size())) {
            try (Checkpoint checkpoint = Checkpoint.of(one, directory).open()) {
                scribble(one, 500);
                checkpoint.save();
                if (lazily) {
                    Pager.of(two, PageSource.checkpoint(directory)).start();
                } else {
                    Checkpoint.restore(directory, two);
                }
                one.asByteBuffer(0, 1).put(0, (byte) 77);
                checkpoint.save();
            }
            try (Checkpoint checkpoint = Checkpoint.of(Snapshotter.of(two).startUnchanged(true), directory).open()) {
                two.asByteBuffer(PAGE, 1).put(0, (byte) 78);
                assertEquals(3, checkpoint.save());
                two.asByteBuffer(PAGE + 1, 1).put(0, (byte) 79);
                checkpoint.save();
            }
            // Saved here last, and not written since: again an increment.
            try (Checkpoint checkpoint = Checkpoint.of(Snapshotter.of(two).startUnchanged(true), directory).open()) {
                two.asByteBuffer(PAGE + 2, 1).put(0, (byte) 80);
                assertEquals(5, checkpoint.save());
            }
            assertEquals(2, Checkpoint.info(directory).increments());
            Checkpoint.restore(directory, one);
            assertArrayEquals(content(two), content(one));
        }
    }

    /** Pages that were thrown away since are not what the checkpoint has, though nobody has written to them. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared"})
    void goesOnWithAFullOneAfterPagesWereTakenAway(String kind) throws Exception {
        try (MemoryRegion region = region(kind, 16L * PAGE)) {
            scribble(region, 100);
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                checkpoint.save();
            }
            Checkpoint.restore(directory, region);
            if (kind.equals("shared")) {
                region.punchHole(PAGE, 4L * PAGE);
            } else {
                region.discard(PAGE, 4L * PAGE);
            }
            byte[] saved = content(region);
            try (Checkpoint checkpoint = Checkpoint.of(Snapshotter.of(region).startUnchanged(true), directory).open()) {
                assertEquals(2, checkpoint.save());
            }
            Checkpoint.restore(directory, region);
            assertArrayEquals(saved, content(region));
        }
    }

    /** What was never touched takes no memory, saved or restored. */
    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared"})
    void aSparseRegionStaysSparse(String kind) throws Exception {
        try (MemoryRegion region = region(kind, 5000L * PAGE); MemoryRegion other = region(kind, region.size())) {
            region.asByteBuffer(2500L * PAGE, 1).put(0, (byte) 1);
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                checkpoint.save();
            }
            if (kind.equals("shared")) { // zeros of private memory are one page for all
                assertEquals(1, region.residentPages(0, region.size()).cardinality());
            }
            scribble(other, 1000);
            Checkpoint.restore(directory, other);
            int resident = other.residentPages(0, other.size()).cardinality();
            assertTrue(resident > 0 && resident < 5000, resident + " pages"); // one run, or one huge page of the kernel's
            assertArrayEquals(content(region), content(other));
        }
    }

    @Test
    void aRegionThatIsPagedOrReadOrGoneIsNotRestoredInto() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(16L * PAGE)) {
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                checkpoint.save();
            }
            try (Pager pager = Pager.of(region, PageSource.zeros()).start()) {
                String message = assertThrows(IllegalStateException.class, () -> Checkpoint.restore(directory, region)).getMessage();
                assertTrue(message.contains(pager.toString()), message);
            }
            assertEquals(1, Checkpoint.restore(directory, region));
            try (MemoryRegion reads = MemoryRegion.anonymous(region.size());
                    Pager pager = Pager.of(reads, PageSource.memory(region.address(), region.size())).start()) {
                String message = assertThrows(IllegalStateException.class, () -> Checkpoint.restore(directory, region)).getMessage();
                assertTrue(message.contains(pager.toString()), message);
            }
            Pager.of(region, PageSource.zeros()).onClose(Close.DETACH).start().close();
            String message = assertThrows(IllegalStateException.class, () -> Checkpoint.restore(directory, region)).getMessage();
            assertTrue(message.contains("was given up"), message);
        }
    }

    /** One listing of a directory of many files is several calls of the kernel: between them a new full one replaces the other. */
    @Test
    void aReaderBesideAWriterFindsACheckpointAmongManyFiles() throws Exception {
        for (int i = 0; i < 1000; i++) {
            Files.createFile(directory.resolve("a-file-with-a-long-name-that-is-no-checkpoint-" + i));
        }
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE);
                Checkpoint checkpoint = Checkpoint.of(region, directory).increments(0).open(); Crew writer = new Crew()) {
            checkpoint.save();
            AtomicLong saved = new AtomicLong();
            writer.repeat(() -> {
                region.asByteBuffer(0, 8).putLong(0, saved.incrementAndGet());
                checkpoint.save();
            });
            long end = System.nanoTime() + Duration.ofSeconds(3).toNanos();
            for (long before = 0; System.nanoTime() < end && !writer.hasFailed();) {
                long number = Checkpoint.info(directory).number();
                assertTrue(number >= before, number + " after " + before);
                before = number;
            }
            assertTrue(saved.get() > 0);
        }
    }

    /** Saves and restores with less direct memory than the indexes of all its files take together. */
    public static final class ManyRuns {
        private ManyRuns() {}

        public static void main(String[] arguments) throws Exception {
            Path directory = Path.of(arguments[0]);
            try (MemoryRegion region = MemoryRegion.anonymous(16384 * Ranges.PAGE)) {
                for (long at = 0; at < region.size() / 4; at += Ranges.PAGE) {
                    region.asByteBuffer(at, 4).putInt(0, 1);
                }
                try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                    checkpoint.save();
                    for (int i = 1; i <= 15; i++) {
                        for (long at = 0; at < region.size(); at += 2 * Ranges.PAGE) {
                            region.asByteBuffer(at, 4).putInt(0, 0); // an increment with many runs and no bytes
                        }
                        checkpoint.save();
                    }
                }
                System.out.println("restored " + Checkpoint.restore(directory, region) + ", with "
                        + Checkpoint.info(directory).increments() + " increments");
            }
        }
    }

    @Test
    void whatWasSavedCanBeRestoredWithAsLittleMemory() throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx32m", "-XX:MaxDirectMemorySize=3m").run(DEADLINE, ManyRuns.class,
                directory.toString());
        assertTrue(result.assertExit(0).output().contains("restored 16, with 15 increments"), result.output());
    }

    @Test
    void whatWasNeverCompletedIsClearedAway() throws Exception {
        Files.write(directory.resolve("0000000007.full.partial"), new byte[100]);
        Files.write(directory.resolve("notes.txt"), new byte[100]);
        Files.createDirectories(directory.resolve("download.partial/x"));
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE); Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
            assertThrows(NoSuchFileException.class, () -> Checkpoint.info(directory));
            assertEquals(1, checkpoint.save());
            assertEquals(List.of("0000000001.full", "download.partial", "lock", "notes.txt"), Trees.names(directory));
        }
    }

    /** Takes the lock of the directory and keeps it, or says why not. */
    static final class Locker {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE);
                    Checkpoint checkpoint = Checkpoint.of(region, Path.of(arguments[0])).open()) {
                System.out.println("saved " + checkpoint.save());
            } catch (Exception e) {
                System.out.println(e);
            }
        }
    }

    @Test
    void oneWriterADirectory() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE); MemoryRegion other = MemoryRegion.anonymous(PAGE)) {
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                for (int i = 0; i < 2; i++) { // the failed attempt must not have taken the lock away
                    String here = assertThrows(IllegalStateException.class, () -> Checkpoint.of(other, directory).open()).getMessage();
                    assertTrue(here.contains(directory.toRealPath().toString()) && here.contains("this process"), here);
                    String there = new ChildJvm().run(DEADLINE, Locker.class, directory.toString()).assertExit(0).output();
                    assertTrue(there.contains(directory.toRealPath().toString()) && there.contains("another process"), there);
                }
                checkpoint.save();
            }
            String after = new ChildJvm().run(DEADLINE, Locker.class, directory.toString()).assertExit(0).output();
            assertEquals("saved 2", after.strip());
            Checkpoint.of(other, directory).open().close();
        }
    }

    /** A second copy of the library in the same JVM, which the locks of the kernel do not keep apart. */
    @Test
    void theLockHoldsAgainstAnotherClassLoader() throws Exception {
        URL[] classes = {ChildJvm.classes().toUri().toURL()};
        try (CheckpointDirectory locked = CheckpointDirectory.lock(directory);
                URLClassLoader other = new URLClassLoader(classes, ClassLoader.getPlatformClassLoader())) {
            Method lock = other.loadClass(CheckpointDirectory.class.getName()).getMethod("lock", Path.class);
            Throwable refused = assertThrows(InvocationTargetException.class, () -> lock.invoke(null, directory)).getCause();
            assertTrue(refused instanceof IllegalStateException && refused.getMessage().contains("this process"), refused::toString);
            String there = new ChildJvm().run(DEADLINE, Locker.class, directory.toString()).assertExit(0).output();
            assertTrue(there.contains(locked.path().toString()) && there.contains("another process"), there);
        }
    }

    /** The digits of some locales are not those of the files' names. */
    @Test
    void namesAreTheSameInEachLocale() throws Exception {
        Locale before = Locale.getDefault();
        try (MemoryRegion region = MemoryRegion.anonymous(2 * PAGE)) {
            Locale.setDefault(Locale.forLanguageTag("fa-IR"));
            assumeTrue(String.format("%d", 1).equals("\u06f1"), "this JDK does not know the locale");
            for (int number = 1; number <= 2; number++) {
                try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
                    region.asByteBuffer(0, 1).put(0, (byte) number);
                    assertEquals(number, checkpoint.save());
                }
            }
            assertEquals(List.of("0000000002.full", "lock"), Trees.names(directory));
            assertEquals(2, Checkpoint.restore(directory, region));
        } finally {
            Locale.setDefault(before);
        }
    }

    /** Before Linux 5.18 huge pages cannot be discarded. */
    @Test
    void aDamagedCheckpointLeavesNothingInHugePages() throws Exception {
        HugePages.need();
        long bytes = 2 * HugePages.SIZE;
        try (MemoryRegion region = MemoryRegion.hugePages(bytes, PageSize.of(HugePages.SIZE))) {
            try (CheckpointWriter writer = CheckpointWriter.create(directory, 1, null, 5, bytes, region.pageSize(), false)) {
                ByteBuffer page = ByteBuffer.allocateDirect((int) HugePages.SIZE).putInt(0, 42);
                writer.add(0, page);
                writer.add(HugePages.SIZE, page.clear());
                writer.commit();
            }
            Path file = directory.resolve("0000000001.full");
            byte[] damaged = Files.readAllBytes(file);
            damaged[(int) HugePages.SIZE + 100] ^= 1;
            Files.write(file, damaged);
            UffdException e = assertThrows(UffdException.class, () -> Checkpoint.restore(directory, region));
            assertEquals(Abi.EBADMSG, e.errno(), e.getMessage());
            assertTrue(e.getMessage().contains(file + " at offset " + HugePages.SIZE), e.getMessage());
            assertEquals(0, region.asByteBuffer(0, 4).getInt(0));
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void anOpenThatFailsLeavesTheLock() throws Exception {
        Path inTheWay = Files.createDirectories(directory.resolve("0000000007.full.partial/full"));
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            assertThrows(DirectoryNotEmptyException.class, () -> Checkpoint.of(region, directory).open());
            Files.delete(inTheWay);
            String there = new ChildJvm().run(DEADLINE, Locker.class, directory.toString()).assertExit(0).output();
            assertEquals("saved 1", there.strip());
            Checkpoint.of(region, directory).open().close();
        }
    }

    @Test
    void noSuchDirectory() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            Path missing = directory.resolve("missing");
            assertTrue(assertThrows(NoSuchFileException.class, () -> Checkpoint.of(region, missing).open()).getMessage()
                    .contains("missing"));
            Path file = Files.write(directory.resolve("file"), new byte[1]);
            assertThrows(NotDirectoryException.class, () -> Checkpoint.of(region, file).open());
            Checkpoint.of(region, directory).open().close(); // nobody has the region
        }
    }

    @Test
    void aDirectoryThatCannotBeWritten() throws Exception {
        OrdinaryUser user = new OrdinaryUser(directory);
        Path closed = Trees.openToAll(Files.createDirectory(directory.resolve("closed")));
        String output = user.child().run(DEADLINE, Locker.class, closed.toString()).assertExit(0).output();
        assertTrue(output.contains("AccessDeniedException") && output.contains(closed.toString()), output);
    }

    /** Fills the disk: the failed save loses nothing, and what it would have saved is saved once there is room. */
    static final class OnSmallDisk {
        public static void main(String[] arguments) throws Exception {
            Path directory = Path.of(arguments[0]);
            try (MemoryRegion region = MemoryRegion.anonymous(100L * PAGE);
                    MemoryRegion other = MemoryRegion.anonymous(region.size());
                    Checkpoint checkpoint = Checkpoint.of(region, directory).increments(100).open()) {
                ByteBuffer all = region.asByteBuffer(0, (int) region.size());
                for (int i = 0; i < region.size(); i += Long.BYTES) {
                    all.putLong(i, ~i);
                }
                checkpoint.save();
                byte[] first = content(region);
                Files.write(directory.resolve("ballast"), new byte[150 * PAGE]);
                for (int i = 0; i < 80; i++) {
                    all.putLong(i * PAGE, 42);
                }
                for (int i = 0; i < 2; i++) {
                    try {
                        checkpoint.save();
                        System.out.println("saved");
                    } catch (java.io.IOException e) {
                        System.out.println(e.getMessage());
                    }
                    Checkpoint.restore(directory, other);
                    System.out.println(Arrays.equals(first, content(other)) + " " + Trees.names(directory));
                }
                Files.delete(directory.resolve("ballast"));
                System.out.println("saved " + checkpoint.save());
                Checkpoint.restore(directory, other);
                System.out.println(Arrays.equals(content(region), content(other)) + " " + Trees.names(directory));
            }
        }
    }

    @Test
    void aFullDiskLosesNothing() throws Exception {
        Mounts.needed();
        String output = new ChildJvm().startedBy(Mounts.tmpfs("size=" + 300 * PAGE, directory))
                .run(DEADLINE, OnSmallDisk.class, directory.toString()).assertExit(0).output();
        assertEquals(List.of("No space left on device", "true [0000000001.full, ballast, lock]",
                "No space left on device", "true [0000000001.full, ballast, lock]",
                "saved 2", "true [0000000001.full, 0000000002.increment, lock]"), output.lines().toList());
    }

    /** Tries to compress without the library. */
    static final class Compressing {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
                Path directory = Path.of(arguments[0]);
                for (boolean save : new boolean[] {true, false}) {
                    try {
                        if (save) {
                            Checkpoint.of(region, directory.resolve("new")).compression(Compression.ZSTD).open();
                        } else {
                            Checkpoint.restore(directory, region);
                        }
                    } catch (IllegalStateException e) {
                        System.out.println(e.getMessage());
                    }
                }
                Checkpoint.of(region, directory.resolve("new")).open().close();
                System.out.println("not compressed: fine");
            }
        }
    }

    @Test
    void withoutTheLibraryThatCompresses() throws Exception {
        Files.createDirectory(directory.resolve("new"));
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            for (int i = 0; i < PAGE; i++) {
                region.asByteBuffer(i, 1).put(0, (byte) (i / 100 + 1));
            }
            try (Checkpoint checkpoint = Checkpoint.of(region, directory).compression(Compression.ZSTD).open()) {
                checkpoint.save();
            }
        }
        Path lib = Files.createDirectory(directory.resolve("lib"));
        for (String each : Trees.names(ChildJvm.root().resolve("target/lib"))) {
            if (!each.startsWith("zstd")) {
                Files.copy(ChildJvm.root().resolve("target/lib").resolve(each), lib.resolve(each));
            }
        }
        String output = new ChildJvm().classPath(ChildJvm.classes() + ":" + ChildJvm.testClasses() + ":" + lib + "/*")
                .run(DEADLINE, Compressing.class, directory.toString()).assertExit(0).output();
        String missing = "compression ZSTD needs com.github.luben:zstd-jni on the class path or module path";
        assertEquals(List.of(missing, missing, "not compressed: fine"), output.lines().toList());
    }

    @Test
    void aDamagedNewestCheckpointIsNotReplaced() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            Checkpoint checkpoint = Checkpoint.of(region, directory).open();
            checkpoint.save();
            assertFalse(checkpoint.toString().contains("closed"));
            checkpoint.close();
            checkpoint.close();
            assertTrue(assertThrows(IllegalStateException.class, checkpoint::save).getMessage().endsWith("closed] is closed"));
            Files.write(directory.resolve("0000000001.full"), new byte[200]);
            String message = assertThrows(java.io.IOException.class, () -> Checkpoint.of(region, directory).open()).getMessage();
            assertTrue(message.contains("0000000001.full at offset"), message);
        }
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void aLostSnapshotIsNoCheckpoint(Compression compression) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(2000L * PAGE);
                MemoryRegion other = MemoryRegion.anonymous(region.size());
                Checkpoint checkpoint = Checkpoint.of(Snapshotter.of(region).memoryLimit(0), directory).compression(compression).open()) {
            scribble(region, 3000);
            checkpoint.save();
            AtomicInteger written = new AtomicInteger();
            int lost = 0;
            try (Crew writer = new Crew()) {
                writer.repeat(() -> {
                    int i = written.getAndIncrement();
                    region.asByteBuffer(i % 2000 * (long) PAGE, 8).putLong(0, i);
                });
                for (int i = 0; i < ChildJvm.rounds(50); i++) {
                    try {
                        checkpoint.save();
                    } catch (io.github.userfaultfd.UffdException e) {
                        assertTrue(e.getMessage().contains("the snapshot is lost"), e.getMessage());
                        lost++;
                    }
                    Checkpoint.verify(directory);
                }
            }
            assertTrue(lost > 0);
            checkpoint.save();
            Checkpoint.restore(directory, other);
            assertArrayEquals(content(region), content(other));
        }
    }
}
