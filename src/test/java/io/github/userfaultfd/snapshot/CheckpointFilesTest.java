// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.checkpoint.CheckpointDirectory;
import io.github.userfaultfd.checkpoint.CheckpointFile;
import io.github.userfaultfd.checkpoint.CheckpointIndex;
import io.github.userfaultfd.checkpoint.CheckpointWriter;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.Close;
import io.github.userfaultfd.paging.FailurePolicy;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Trees;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The files of checkpoints, written here page by page: what is restored from them, and what is said of each that is damaged. */
class CheckpointFilesTest {
    private static final int PAGE = (int) Ranges.PAGE;
    /** Emulated processors leave out most of what is repeated for every byte. */
    private static final int SPARSELY = ChildJvm.PATIENCE > 1 ? 11 : 1;
    private static final Pattern PLACE = Pattern.compile("(\\d{10}\\.(?:full|increment)) at offset (\\d+)");

    @TempDir
    Path directory;
    private final Random random = new Random(7);
    private CheckpointWriter.Base base;

    /** Pages that the next file has, and the model of the region gets. */
    private void write(byte[] model, boolean full, boolean compress, int... pages) throws IOException {
        long id = random.nextLong();
        long number = base == null ? 1 : base.number() + 1;
        try (CheckpointWriter writer = CheckpointWriter.create(directory, number, full ? null : base, id, model.length, PAGE, compress)) {
            int longest = CheckpointWriter.longestRun(PAGE);
            if (full) {
                for (int at = 0; at < model.length; at += longest) {
                    add(writer, model, at, Math.min(longest, model.length - at));
                }
            } else {
                for (int page : pages) {
                    add(writer, model, page * PAGE, PAGE);
                }
            }
            writer.commit();
        }
        base = new CheckpointWriter.Base(number, id);
    }

    private static void add(CheckpointWriter writer, byte[] model, int at, int length) throws IOException {
        writer.add(at, ByteBuffer.allocateDirect(length).put(model, at, length).flip());
    }

    private void fill(byte[] model, int page) {
        byte[] bytes = new byte[PAGE];
        random.nextBytes(bytes);
        for (int i = PAGE / 2; i < PAGE; i++) {
            bytes[i] = 1; // so that it can be compressed, too
        }
        System.arraycopy(bytes, 0, model, page * PAGE, PAGE);
    }

    private void change(byte[] model, boolean compress, int... pages) throws IOException {
        for (int page : pages) {
            fill(model, page);
        }
        write(model, false, compress, pages);
    }

    /** A full file and two increments that overlap it and each other; some pages are zero from the beginning, one becomes so. */
    private byte[] chain(int pages, boolean compress) throws IOException {
        byte[] model = new byte[pages * PAGE];
        for (int page = 0; page < pages - 1; page++) {
            fill(model, page);
        }
        write(model, true, compress);
        change(model, compress, 1, 2);
        change(model, compress, 2);
        Arrays.fill(model, 0, PAGE, (byte) 0);
        write(model, false, compress, 0, 3);
        return model;
    }

    private static byte[] content(MemoryRegion region) {
        byte[] bytes = new byte[(int) region.size()];
        region.asByteBuffer(0, bytes.length).get(bytes);
        return bytes;
    }

    private List<Path> files() throws IOException {
        List<Path> files = new ArrayList<>();
        for (String name : Trees.names(directory)) {
            files.add(directory.resolve(name));
        }
        assertEquals(List.of("0000000001.full", "0000000002.increment", "0000000003.increment", "0000000004.increment"),
                Trees.names(directory));
        return files;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theWholeIsRestored(boolean compress) throws Exception {
        byte[] model = chain(40, compress);
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            assertEquals(4, Checkpoint.restore(directory, region));
            assertArrayEquals(model, content(region));
            CheckpointInfo info = Checkpoint.verify(directory);
            assertEquals(compress, info.compressed());
            assertEquals(3, info.increments());
            assertEquals(model.length, info.regionSize());
            long bytes = 0;
            for (Path each : files()) {
                bytes += Files.size(each);
            }
            assertEquals(bytes, info.bytes());
            assertTrue(compress == bytes < model.length * 3L / 4, () -> info + " of " + model.length);
        }
    }

    @Test
    void zerosTakeNoRoom() throws Exception {
        byte[] model = new byte[64 * PAGE];
        write(model, true, false);
        assertTrue(Files.size(directory.resolve("0000000001.full")) < model.length / 1000); // an index
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            region.asByteBuffer(5, 1).put(0, (byte) 1);
            Checkpoint.restore(directory, region);
            assertArrayEquals(model, content(region));
        }
    }

    @ParameterizedTest
    @EnumSource(value = FaultEngine.class, names = {"INLINE", "THREAD"})
    void pagesComeWhenTheyAreTouched(FaultEngine engine) throws Exception {
        if (engine == FaultEngine.INLINE) {
            Needs.features(Feature.SIGBUS);
        }
        byte[] model = chain(100, false);
        for (int around : new int[] {0, PAGE, 8 * PAGE, 64 * PAGE}) {
            try (MemoryRegion region = MemoryRegion.anonymous(model.length);
                    Pager pager = around == 0 ? Pager.of(region, PageSource.checkpoint(directory)).engine(engine).start()
                            : Pager.of(region, PageSource.checkpoint(directory)).engine(engine).faultAround(around).start()) {
                for (int i = 0; i < 2000; i++) {
                    int at = random.nextInt(model.length);
                    assertEquals(model[at], region.asByteBuffer(at, 1).get(0), "at " + at);
                }
                pager.prefetch(0, model.length);
                assertArrayEquals(model, content(region));
                assertEquals(100, counted(pager, 100));
            }
        }
        // One fault brings the whole run that was read for it, and nothing else.
        try (MemoryRegion region = MemoryRegion.anonymous(model.length);
                Pager pager = Pager.of(region, PageSource.checkpoint(directory)).engine(engine).onClose(Close.DETACH).start()) {
            int run = CheckpointWriter.longestRun(PAGE) / PAGE;
            assertEquals(model[4 * run * PAGE], region.asByteBuffer(4L * run * PAGE, 1).get(0));
            assertEquals(run, counted(pager, run));
        }
    }

    /** The pages that were brought: waits for so many, as a thread counts after it has let the reader go on. */
    private static long counted(Pager pager, int expected) throws InterruptedException {
        for (int i = 0; pager.stats().pages() < expected && i < 1000; i++) {
            Thread.sleep(1);
        }
        return pager.stats().pages();
    }

    @Test
    void manyThreadsAtOnce() throws Exception {
        byte[] model = chain(2000, false);
        try (MemoryRegion region = MemoryRegion.anonymous(model.length);
                Pager pager = Pager.of(region, PageSource.checkpoint(directory)).start()) {
            AtomicInteger wrong = new AtomicInteger();
            try (Crew readers = new Crew()) {
                for (int i = 0; i < 24; i++) {
                    Random places = new Random(i);
                    readers.once(() -> {
                        for (int n = 0; n < 500; n++) {
                            int at = places.nextInt(model.length);
                            if (region.asByteBuffer(at, 1).get(0) != model[at]) {
                                wrong.incrementAndGet();
                            }
                        }
                    });
                }
            }
            assertEquals(0, wrong.get());
            assertTrue(pager.stats().faults() > 0);
            pager.check();
        }
    }

    @Test
    void compressedCannotBeLazy() throws Exception {
        byte[] model = chain(8, true);
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            String message = assertThrows(UnsupportedOperationException.class,
                    () -> Pager.of(region, PageSource.checkpoint(directory)).start()).getMessage();
            assertTrue(message.contains("0000000001.full") && message.contains("Checkpoint.restore"), message);
            assertEquals(4, Checkpoint.restore(directory, region)); // nobody has the region
        }
    }

    /** What a damaged directory gives: an error that names this file and an offset, and no byte of the checkpoint. */
    private void assertRefused(MemoryRegion region, Path file, long from, long to, String what) throws Exception {
        region.discard(0, region.size());
        UffdException e = assertThrows(UffdException.class, () -> Checkpoint.restore(directory, region), what);
        assertEquals(Abi.EBADMSG, e.errno(), e.getMessage());
        Matcher place = PLACE.matcher(e.getMessage());
        assertTrue(place.find(), e.getMessage());
        assertEquals(file.getFileName().toString(), place.group(1), what);
        long offset = Long.parseLong(place.group(2));
        assertTrue(offset >= from && offset <= to, () -> what + ": " + e.getMessage());
        assertEquals(-1, region.asByteBuffer(0, (int) region.size()).mismatch(ByteBuffer.allocate((int) region.size())), what);
    }

    /** Where the part of a file begins that a byte is in: a run, the index with the trailer, which are told apart by their lengths. */
    private static long partOf(Path path, long position) throws IOException {
        try (CheckpointFile file = CheckpointFile.open(path)) {
            long at = 0;
            CheckpointIndex index = file.index();
            for (int run = 0; run < index.runs(); run++) {
                if (position < index.fileOffset(run) + index.stored(run)) { // a run is named by its begin
                    return index.fileOffset(run);
                }
                at = index.fileOffset(run) + index.stored(run);
            }
            return at;
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFlippedBitAtAnyByteIsFound(boolean compress) throws Exception {
        byte[] model = chain(5, compress);
        int flips = 0;
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            for (Path file : files()) {
                byte[] bytes = Files.readAllBytes(file);
                long[] parts = new long[bytes.length];
                for (int i = 0; i < bytes.length; i += step(i, bytes.length)) {
                    boolean anew = i % 512 == 0 || i >= bytes.length - 512 || compress || step(i, bytes.length) > 1;
                    parts[i] = anew ? partOf(file, i) : parts[i - 1];
                }
                try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
                    for (int i = 0; i < bytes.length; i += step(i, bytes.length), flips++) {
                        put(open, i, bytes[i] ^ 1 << random.nextInt(8));
                        assertRefused(region, file, parts[i], bytes.length, file + " byte " + i);
                        put(open, i, bytes[i]);
                    }
                }
            }
            assertEquals(4, Checkpoint.restore(directory, region));
            assertArrayEquals(model, content(region));
        }
        System.out.println("flipped " + flips + " bytes, " + (compress ? "" : "not ") + "compressed");
    }

    /** Every byte; with large pages or a processor that is emulated not quite, or it would take as many times longer. */
    private static int step(int at, int length) {
        return (at > length - 512 ? 1 : Math.max(1, PAGE / 4096) * SPARSELY) * SPARSELY * SPARSELY;
    }

    private static void put(RandomAccessFile file, long at, int value) throws IOException {
        file.seek(at);
        file.write(value);
    }

    /** What is discarded of shared memory stays in the file below. */
    @Test
    void aDamagedCheckpointLeavesNothingInSharedMemory() throws Exception {
        byte[] model = chain(5, false);
        Path last = files().get(3);
        byte[] bytes = Files.readAllBytes(last);
        bytes[PAGE / 2] ^= 1; // of its only page: those of the files before are in the region by then
        Files.write(last, bytes);
        try (MemoryRegion region = MemoryRegion.shared(model.length)) {
            assertRefused(region, last, 0, 0, "shared memory");
            assertEquals(-1, region.asAliasByteBuffer(0, model.length).mismatch(ByteBuffer.allocate(model.length)));
        }
    }

    /** The same, restored lazily: each page that is there is right, and the others are refused with the place. */
    @Test
    void aFlippedBitIsFoundBeforeAPageIsUsed() throws Exception {
        byte[] model = chain(20, false);
        int refusedAtStart = 0;
        int refusedAtFill = 0;
        int harmless = 0;
        for (Path file : files()) {
            byte[] bytes = Files.readAllBytes(file);
            try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
                for (int i = 0; i < bytes.length; i += (i < bytes.length - 300 ? 257 * Math.max(1, PAGE / 4096) : 1) * SPARSELY) {
                    put(open, i, bytes[i] ^ 1 << random.nextInt(8));
                    try (MemoryRegion region = MemoryRegion.anonymous(model.length);
                            Pager pager = Pager.of(region, PageSource.checkpoint(directory)).onFailure(FailurePolicy.FILL)
                                    .onClose(Close.DETACH).start()) {
                        int failed = 0;
                        for (int page = 0; page < model.length / PAGE; page++) {
                            try {
                                pager.prefetch((long) page * PAGE, PAGE);
                                byte[] there = new byte[PAGE];
                                region.asByteBuffer((long) page * PAGE, PAGE).get(there);
                                assertArrayEquals(Arrays.copyOfRange(model, page * PAGE, (page + 1) * PAGE), there);
                            } catch (UffdException e) {
                                failed++;
                                assertEquals(Abi.EBADMSG, e.errno());
                                assertTrue(e.getMessage().contains(file + " at offset "), e.getMessage());
                                assertEquals(FailurePolicy.PATTERN, region.asByteBuffer((long) page * PAGE, 8).order(ByteOrder.nativeOrder()).getLong());
                            }
                        }
                        refusedAtFill += failed > 0 ? 1 : 0;
                        harmless += failed > 0 ? 0 : 1;
                    } catch (UffdException e) {
                        refusedAtStart++;
                        assertEquals(Abi.EBADMSG, e.errno());
                        assertTrue(e.getMessage().contains(file + " at offset "), e.getMessage());
                    }
                    put(open, i, bytes[i]);
                }
            }
        }
        // Harmless are those in pages that a later file has too: 2 and part of nothing else.
        System.out.println("refused at start " + refusedAtStart + ", when touched " + refusedAtFill + ", not needed " + harmless);
        assertTrue(refusedAtStart > 0 && refusedAtFill > 0 && (harmless > 0 || SPARSELY > 1));
    }

    /** The files of the newest checkpoint are deleted at any moment of a pager's start, because there is a newer one. */
    @Test
    void aLazyRestoreBegunWhileTheWriterGoesOn() throws Exception {
        AtomicInteger numbers = new AtomicInteger();
        AtomicBoolean stop = new AtomicBoolean();
        try (CheckpointDirectory locked = CheckpointDirectory.lock(directory)) {
            Runnable save = () -> {
                int number = numbers.incrementAndGet();
                try (CheckpointWriter writer = CheckpointWriter.create(directory, number, null, number, PAGE, PAGE, false)) {
                    writer.add(0, ByteBuffer.allocateDirect(PAGE).putInt(0, number));
                    writer.commit();
                    locked.deleteBelow(number);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            };
            save.run();
            CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> {
                while (!stop.get()) {
                    save.run();
                }
            });
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
                int restored = 0;
                while (restored < ChildJvm.rounds(300) || numbers.get() < ChildJvm.rounds(100)) {
                    int before = numbers.get() - 1;
                    Pager.of(region, PageSource.checkpoint(directory)).start().close();
                    int number = region.asByteBuffer(0, 4).order(ByteOrder.BIG_ENDIAN).getInt(0);
                    assertTrue(number >= before && number <= numbers.get(), before + " " + number);
                    restored++;
                }
                System.out.println("restored " + restored + " times, saved " + numbers);
            } finally {
                stop.set(true);
                writer.join();
            }
        }
    }

    /** Touches a page of a damaged run, as a program does. */
    static final class Toucher {
        public static void main(String[] arguments) throws Exception {
            MemoryRegion region = MemoryRegion.anonymous(40L * PAGE);
            Pager.of(region, PageSource.checkpoint(Path.of(arguments[0]))).start();
            System.out.println(region.asByteBuffer(20L * PAGE, 1).get(0));
            System.out.println(region.asByteBuffer(0, 1).get(0));
            System.out.println(region.asByteBuffer(7L * PAGE, 1).get(0));
            System.out.println("went on");
        }
    }

    @Test
    void aDamagedPageThatIsTouchedEndsTheProcess() throws Exception {
        byte[] model = chain(40, false);
        Path full = directory.resolve("0000000001.full");
        try (RandomAccessFile open = new RandomAccessFile(full.toFile(), "rw")) {
            put(open, 7L * PAGE, model[7 * PAGE] ^ 8);
        }
        ChildJvm.Result result = new ChildJvm().options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=" + directory.resolve("hs_err"))
                .run(Duration.ofSeconds(60), Toucher.class, directory.toString()).assertExit(128 + 6);
        List<String> lines = result.output().lines().toList();
        assertEquals(String.valueOf(model[20 * PAGE]), lines.get(0)); // another run
        assertEquals("0", lines.get(1)); // another file has this page of the same run
        int run = CheckpointWriter.longestRun(PAGE);
        assertTrue(lines.get(2).contains("the page at offset " + 7 * PAGE) && lines.get(2).contains(full.toRealPath()
                + " at offset " + 7 * PAGE / run * run + ": errno 74 (the checksum of the pages there is wrong)"), lines.get(2));
        assertFalse(result.output().contains("went on"), result.output());
    }

    @Test
    void aFileCutShortAnywhereIsFound() throws Exception {
        byte[] model = chain(5, false);
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            for (Path file : files()) {
                byte[] bytes = Files.readAllBytes(file);
                for (int length = bytes.length - 1; length >= 0; length -= step(length, bytes.length)) {
                    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
                        open.setLength(length);
                    }
                    assertRefused(region, file, 0, length, file + " cut to " + length);
                }
                Files.write(file, bytes);
                Files.write(file, new byte[] {0}, java.nio.file.StandardOpenOption.APPEND);
                assertRefused(region, file, 0, bytes.length + 1, file + " with a byte too many");
                Files.write(file, bytes);
            }
            assertEquals(4, Checkpoint.restore(directory, region));
            assertArrayEquals(model, content(region));
        }
    }

    @Test
    void aFileThatIsNotItsOwnIsFound() throws Exception {
        byte[] model = chain(5, false);
        List<Path> files = files();
        try (MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            Path missing = Files.move(files.get(1), directory.resolve("away"));
            String message = assertThrows(NoSuchFileException.class, () -> Checkpoint.restore(directory, region)).getMessage();
            assertTrue(message.contains("0000000002.increment") && message.contains("0000000003.increment adds to"), message);
            Files.move(missing, files.get(1));

            // The newest file taken away: the checkpoint before it is the newest.
            Path newest = Files.move(files.get(3), directory.resolve("away"));
            assertEquals(3, Checkpoint.restore(directory, region));
            Files.move(newest, files.get(3));

            // A file of another series, under the right name.
            byte[] bytes = Files.readAllBytes(files.get(2));
            base = new CheckpointWriter.Base(2, 42);
            Files.delete(files.get(2));
            change(model.clone(), false, 2);
            assertRefused(region, files.get(3), 0, Long.MAX_VALUE, "another file before it");
            Path last = Files.move(files.get(3), directory.resolve("away"));
            assertRefused(region, files.get(2), 0, Long.MAX_VALUE, "another base");
            Files.move(last, files.get(3));
            Files.write(files.get(2), bytes);

            // A file under a wrong name.
            Path wrong = Files.copy(files.get(3), directory.resolve("0000000005.increment"));
            assertRefused(region, wrong, 0, Long.MAX_VALUE, "another number");
            Files.delete(wrong);
            wrong = Files.copy(files.get(3), directory.resolve("0000000004.full"));
            UffdException e = assertThrows(UffdException.class, () -> Checkpoint.restore(directory, region));
            assertTrue(e.getMessage().contains("there is also"), e.getMessage());
            Files.delete(wrong);
            assertEquals(4, Checkpoint.restore(directory, region));
        }
    }

    @Test
    void aRegionOfAnotherKindIsRefused() throws Exception {
        byte[] model = chain(8, false);
        try (MemoryRegion region = MemoryRegion.anonymous(model.length + 1)) {
            for (org.junit.jupiter.api.function.Executable each : List.<org.junit.jupiter.api.function.Executable>of(
                    () -> Checkpoint.restore(directory, region),
                    () -> Pager.of(region, PageSource.checkpoint(directory)).start(),
                    () -> Checkpoint.of(region, directory).open())) {
                String message = assertThrows(IllegalArgumentException.class, each).getMessage();
                assertTrue(message.contains(directory.toString()) && message.contains(model.length + " bytes")
                        && message.contains(region.size() + " bytes"), message);
            }
        }
        Path other = Files.createDirectory(directory.resolve("other"));
        try (CheckpointWriter writer = CheckpointWriter.create(other, 1, null, 1, 8L * PAGE, 2L * PAGE, false);
                MemoryRegion region = MemoryRegion.anonymous(model.length)) {
            int longest = Math.min(CheckpointWriter.longestRun(2L * PAGE), 8 * PAGE);
            for (int at = 0; at < 8 * PAGE; at += longest) {
                writer.add(at, ByteBuffer.allocateDirect(longest));
            }
            writer.commit();
            String message = assertThrows(IllegalArgumentException.class, () -> Checkpoint.restore(other, region)).getMessage();
            assertTrue(message.contains("pages of " + 2 * PAGE) && message.contains("pages of " + PAGE), message);
        }
    }

    @Test
    void anEmptyDirectoryHasNone() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            region.asByteBuffer(0, 1).put(0, (byte) 5);
            for (Path each : List.of(directory, directory.resolve("missing"))) {
                assertTrue(assertThrows(NoSuchFileException.class, () -> Checkpoint.restore(each, region)).getMessage()
                        .contains(each.toString()));
                assertThrows(NoSuchFileException.class, () -> Checkpoint.info(each));
                assertThrows(NoSuchFileException.class, () -> Pager.of(region, PageSource.checkpoint(each)).start());
            }
            assertEquals(5, region.asByteBuffer(0, 1).get(0));
        }
    }
}
