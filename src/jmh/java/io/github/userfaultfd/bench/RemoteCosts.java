// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PageLoaders;
import io.github.userfaultfd.remote.PagerProcess;
import io.github.userfaultfd.remote.TouchTrace;
import io.github.userfaultfd.remote.ZstdFile;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * Faults resolved by another process, and memory restored from a compressed file. All variants in turn, round by round, because
 * shared machines drift. Arguments: the C program bench_process, a directory for files, bytes of memory, the number of rounds.
 */
public final class RemoteCosts {
    private static final long PAGE = PageSize.system().bytes();
    private static final int FAULTS = 20_000;
    private static final int WINDOW = ZstdFile.FRAME_BYTES;
    /** Of the windows, how many are touched by what runs on the restored memory. */
    private static final int PART_TOUCHED = 4;
    private static final int THREADS = 4;

    /** Volatile, or the compiler moves the access behind the second look at the clock. */
    private static volatile long read;

    private final Path program;
    private final Path file;
    private final long bytes;
    private final int rounds;
    private final List<Long> touched = new ArrayList<>();
    private final TouchTrace trace = new TouchTrace();

    private RemoteCosts(Path program, Path directory, long bytes, int rounds) throws IOException {
        this.program = program;
        this.bytes = bytes;
        this.rounds = rounds;
        file = directory.resolve("memory-" + bytes + ".zst");
        if (!Files.exists(file)) {
            make(directory.resolve("memory"));
        }
        SplittableRandom random = new SplittableRandom(11);
        List<Long> windows = new ArrayList<>();
        for (long at = 0; at < bytes; at += WINDOW) {
            windows.add(at);
        }
        windows.sort(Comparator.comparing(each -> random.nextInt()));
        for (long window : windows.subList(0, windows.size() / PART_TOUCHED)) {
            trace.add(window, Math.min(WINDOW, bytes - window));
            for (int i = 0; i < 4; i++) {
                touched.add(window + random.nextInt(WINDOW / (int) PAGE) * PAGE);
            }
        }
    }

    /** A quarter zeros, the rest of four bits a byte: about 2.6 to 1. */
    private void make(Path raw) throws IOException {
        SplittableRandom random = new SplittableRandom(3);
        byte[] piece = new byte[1 << 20];
        try (FileChannel out = FileChannel.open(raw, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            for (long at = 0; at < bytes; at += piece.length) {
                random.nextBytes(piece);
                for (int i = 0; i < piece.length; i++) {
                    piece[i] = i % 65536 < 16384 ? 0 : (byte) (piece[i] & 15);
                }
                out.write(ByteBuffer.wrap(piece));
            }
        }
        long start = System.nanoTime();
        ZstdFile.compress(raw, file);
        System.out.printf(Locale.ROOT, "compressing: %d to %d bytes, %.0f MB/s%n", bytes, Files.size(file),
                bytes * 1e3 / (System.nanoTime() - start));
        Files.delete(raw);
    }

    /** As little work as a loader can have. */
    public static final class Nothing implements PageLoader {
        @Override
        public void load(long offset, ByteBuffer page) {
            page.position(page.limit());
        }
    }

    /** The compressed file, in the child. */
    public static final class Compressed implements PageLoader {
        private final PageLoader loader;

        /** Opens what the argument names. */
        public Compressed(String[] arguments) throws IOException {
            loader = PageLoaders.zstd(Path.of(arguments[0]));
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            loader.load(offset, page);
        }

        @Override
        public int runBytes() {
            return loader.runBytes();
        }
    }

    @FunctionalInterface
    private interface Measurement {
        long[] run() throws Exception;
    }

    private static long[] c(Path program) throws Exception {
        Process process = new ProcessBuilder(program.toString(), Integer.toString(FAULTS)).redirectErrorStream(true).start();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
            String line = out.readLine();
            if (process.waitFor() != 0) {
                throw new IOException(line);
            }
            return Arrays.stream(line.split(" ")).mapToLong(Long::parseLong).toArray();
        }
    }

    private static long[] touchAll(MemoryRegion region) {
        long[] nanos = new long[FAULTS];
        ByteBuffer buffer = region.asByteBuffer(0, (int) region.size());
        for (int page = 0; page < FAULTS; page++) {
            long start = System.nanoTime();
            read = buffer.get((int) (page * PAGE));
            nanos[page] = System.nanoTime() - start;
        }
        Arrays.sort(nanos);
        return new long[] {nanos[FAULTS / 2], nanos[FAULTS * 99 / 100], nanos[FAULTS - 1]};
    }

    private static long[] pagerProcess(boolean ahead) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(FAULTS * PAGE);
                PagerProcess pager = PagerProcess.start(region, Nothing.class)) {
            if (ahead) {
                pager.prefetch(0, region.size());
            }
            return touchAll(region);
        }
    }

    private static long[] engine(FaultEngine engine) throws Exception {
        try (MemoryRegion source = MemoryRegion.anonymous(FAULTS * PAGE);
                MemoryRegion region = MemoryRegion.anonymous(FAULTS * PAGE)) {
            source.fetch(0, source.size());
            try (Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).engine(engine)
                    .faultAround(PAGE).start()) {
                long[] result = touchAll(region);
                if (pager.stats().failed() != 0) {
                    throw new AssertionError(pager.stats());
                }
                return result;
            }
        }
    }

    /** Touches what a program would, in its order; nanoseconds since {@code start}, and a sum of what was read. */
    private long[] work(MemoryRegion region, long start) {
        long sum = 0;
        for (long at : touched) {
            sum += region.asByteBuffer(at, Long.BYTES).getLong(0);
        }
        return new long[] {System.nanoTime() - start, sum};
    }

    private enum Restore { LAZY, WITH_TRACE, EAGER_IN_CHILD }

    private long[] restore(Restore how) throws Exception {
        long start = System.nanoTime();
        try (MemoryRegion region = MemoryRegion.anonymous(bytes)) {
            PagerProcess pager = PagerProcess.of(region, Compressed.class, file.toString()).workers(THREADS).faultAround(WINDOW)
                    .start();
            switch (how) {
                case WITH_TRACE -> pager.readAhead(trace);
                case EAGER_IN_CHILD -> pager.prefetch(0, bytes);
                default -> { }
            }
            // The region's close gives up what was not touched.
            long[] result = work(region, start);
            return new long[] {result[0], result[1], pager.startTime().toNanos()};
        }
    }

    /** As one does without this library: decompressed by threads of this JVM before anything runs. */
    private long[] eagerly() throws Exception {
        long start = System.nanoTime();
        try (MemoryRegion region = MemoryRegion.anonymous(bytes); PageLoaders.Closeable loader = PageLoaders.zstd(file)) {
            List<Thread> threads = new ArrayList<>();
            List<IOException> failures = new ArrayList<>();
            int piece = 1 << 20;
            for (int i = 0; i < THREADS; i++) {
                long from = (long) i * piece;
                Thread thread = new Thread(() -> {
                    try {
                        for (long at = from; at < bytes; at += (long) THREADS * piece) {
                            loader.load(at, region.asByteBuffer(at, (int) Math.min(piece, bytes - at)));
                        }
                    } catch (IOException e) {
                        synchronized (failures) {
                            failures.add(e);
                        }
                    }
                });
                threads.add(thread);
                thread.start();
            }
            for (Thread each : threads) {
                each.join();
            }
            if (!failures.isEmpty()) {
                throw failures.get(0);
            }
            long[] result = work(region, start);
            return new long[] {result[0], result[1], 0};
        }
    }

    private static long median(List<long[]> results, int index) {
        return results.stream().mapToLong(each -> each[index]).sorted().toArray()[results.size() / 2];
    }

    private List<List<long[]>> inTurn(Measurement... measurements) throws Exception {
        List<List<long[]>> results = new ArrayList<>();
        for (int i = 0; i < measurements.length; i++) {
            results.add(new ArrayList<>());
        }
        for (int round = 0; round <= rounds; round++) {
            for (int i = 0; i < measurements.length; i++) {
                long[] result = measurements[i].run();
                if (round > 0) { // the first one warms up
                    results.get(i).add(result);
                }
            }
        }
        return results;
    }

    private void latencies() throws Exception {
        String[] names = {"PagerProcess", "C, another process", "engine THREAD", "engine INLINE", "PagerProcess, loaded ahead"};
        List<List<long[]>> results = inTurn(() -> pagerProcess(false), () -> c(program), () -> engine(FaultEngine.THREAD),
                () -> engine(FaultEngine.INLINE), () -> pagerProcess(true));
        for (int i = 0; i < names.length; i++) {
            List<long[]> each = results.get(i);
            System.out.printf(Locale.ROOT, "%-30s p50 %6.2f us, p99 %6.1f us, max %8.1f us%n", names[i], median(each, 0) / 1e3,
                    median(each, 1) / 1e3, median(each, 2) / 1e3);
        }
    }

    private void restores() throws Exception {
        String[] names = {"lazily", "lazily, with the trace", "eagerly by the child", "eagerly in this JVM"};
        List<List<long[]>> results = inTurn(() -> restore(Restore.LAZY), () -> restore(Restore.WITH_TRACE),
                () -> restore(Restore.EAGER_IN_CHILD), this::eagerly);
        long sum = results.get(0).get(0)[1];
        for (int i = 0; i < names.length; i++) {
            for (long[] each : results.get(i)) {
                if (each[1] != sum) {
                    throw new AssertionError(names[i] + " read other bytes");
                }
            }
            long nanos = median(results.get(i), 0);
            System.out.printf(Locale.ROOT, "%-30s %6.0f ms, %d of them for the child's start, until the last of %d touches, in %d of"
                    + " %d MiB; %5.0f MB/s of all%n", names[i], nanos / 1e6, median(results.get(i), 2) / 1_000_000, touched.size(), trace.bytes() >> 20, bytes >> 20, bytes * 1e3 / nanos);
        }
    }

    /**
     * Runs all.
     *
     * @param arguments bench_process, a directory, bytes, rounds
     */
    public static void main(String[] arguments) throws Exception {
        RemoteCosts costs = new RemoteCosts(Path.of(arguments[0]), Path.of(arguments[1]), Long.parseLong(arguments[2]),
                Integer.parseInt(arguments[3]));
        System.out.println("Linux " + System.getProperty("os.version") + ", JDK " + Runtime.version() + ", "
                + Runtime.getRuntime().availableProcessors() + " processors, pages of " + PAGE + ", " + FAULTS + " faults, "
                + costs.rounds + " rounds; medians");
        costs.latencies();
        costs.restores();
    }
}
