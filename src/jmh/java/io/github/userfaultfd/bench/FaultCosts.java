// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.paging.PagerBuilder;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;

/**
 * Page faults in the JVM and in plain C, alternately in one run, as ratios pair by pair: absolute times on shared machines drift.
 * Arguments: the C program, a file for the throughput part, the number of rounds.
 */
public final class FaultCosts {
    private static final int PAGES = 65536;

    private final Path program;
    private final int rounds;
    private final MemoryRegion source;
    private final long page;

    private FaultCosts(Path program, int rounds) throws IOException {
        this.program = program;
        this.rounds = rounds;
        MemoryRegion probe = MemoryRegion.anonymous(1);
        page = probe.pageSize();
        probe.close();
        source = MemoryRegion.anonymous(PAGES * page);
        for (long at = 0; at < source.size(); at += Long.BYTES) {
            source.asByteBuffer(at, Long.BYTES).putLong(0, 0x0101010101010101L);
            if (at % (64 << 20) == 0) {
                System.gc();
            }
        }
    }

    @FunctionalInterface
    private interface Measurement {
        double run() throws Exception;
    }

    /** Nanoseconds a page of the C program. */
    private double c(String name) throws Exception {
        Process process = new ProcessBuilder(program.toString(), name, Integer.toString(PAGES)).redirectErrorStream(true).start();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
            String line = out.readLine();
            if (process.waitFor() != 0) {
                throw new IOException(name + ": " + line);
            }
            return Double.parseDouble(line);
        }
    }

    private static long touch(ByteBuffer buffer, int from, int to, int step) {
        long sum = 0;
        for (int at = from; at < to; at += step) {
            sum += buffer.get(at);
        }
        return sum;
    }

    /** Nanoseconds a page of a region read by this JVM. */
    private double java(FaultEngine engine, long around, int threads) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGES * page)) {
            PagerBuilder options = Pager.of(region, PageSource.memory(source.address(), source.size())).engine(engine)
                    .faultAround(around);
            try (Pager pager = options.start()) {
                ByteBuffer buffer = region.asByteBuffer(0, (int) region.size());
                int half = threads == 2 ? buffer.capacity() / 2 : 0;
                long[] sums = new long[2];
                Thread second = new Thread(() -> sums[1] = touch(buffer, 0, half, (int) page));
                long start = System.nanoTime();
                if (threads == 2) {
                    second.start();
                }
                sums[0] = touch(buffer, half, buffer.capacity(), (int) page);
                second.join();
                long nanos = System.nanoTime() - start;
                if (sums[0] + sums[1] != PAGES || engine == FaultEngine.INLINE && pager.stats().pages() != PAGES) {
                    throw new AssertionError(sums[0] + sums[1] + " " + pager.stats());
                }
                return (double) nanos / PAGES;
            }
        }
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }

    /** Two measurements in turn, and the ratio of each pair. */
    private void compare(String name, Measurement mine, String otherName, Measurement other, String unit) throws Exception {
        double[] first = new double[rounds];
        double[] second = new double[rounds];
        double[] ratios = new double[rounds];
        for (int i = 0; i < rounds; i++) {
            first[i] = mine.run();
            second[i] = other.run();
            ratios[i] = first[i] / second[i];
        }
        System.out.printf(Locale.ROOT, "%-34s %10.2f %s   %-34s %10.2f %s   ratio %.3f (%.3f to %.3f)%n", name,
                median(first), unit, otherName, median(second), unit, median(ratios),
                Arrays.stream(ratios).min().orElseThrow(), Arrays.stream(ratios).max().orElseThrow());
    }

    private static long sum(ByteBuffer piece) {
        long sum = 0;
        int longs = piece.capacity() / Long.BYTES;
        for (int i = 0; i < longs; i++) {
            sum += piece.getLong(i * Long.BYTES);
        }
        return sum;
    }

    private static final int PIECE = 1 << 20;

    /** MB/s of reading a file from end to end through page faults; around 0: the pager's own choice. */
    private static double lazily(Path file, long around, long[] sum) throws IOException {
        long size = Files.size(file);
        long start = System.nanoTime();
        double rate;
        try (MemoryRegion region = MemoryRegion.anonymous(size)) {
            PagerBuilder options = Pager.of(region, PageSource.file(file));
            try (Pager pager = (around > 0 ? options.faultAround(around) : options).start()) {
                sum[0] = 0;
                for (long at = 0; at < size; at += PIECE) {
                    sum[0] += sum(region.asByteBuffer(at, (int) Math.min(PIECE, size - at)));
                }
                rate = size * 1e3 / (System.nanoTime() - start);
                if (pager.stats().failed() != 0) {
                    throw new AssertionError();
                }
            }
        }
        return rate;
    }

    /** MB/s of reading the whole file into fresh direct memory first, and then that. */
    private static double eagerly(Path file, long[] sum) throws IOException {
        long size = Files.size(file);
        long start = System.nanoTime();
        try (MemoryRegion memory = MemoryRegion.anonymous(size); FileChannel channel = FileChannel.open(file)) {
            for (long at = 0; at < size;) {
                at += channel.read(memory.asByteBuffer(at, (int) Math.min(8 << 20, size - at)), at);
            }
            sum[0] = 0;
            for (long at = 0; at < size; at += PIECE) {
                sum[0] += sum(memory.asByteBuffer(at, (int) Math.min(PIECE, size - at)));
            }
            return size * 1e3 / (System.nanoTime() - start);
        }
    }

    /** The same by one direct buffer of the JDK, for files that fit one. */
    private static double directBuffer(Path file, long[] sum) throws IOException {
        long start = System.nanoTime();
        try (FileChannel channel = FileChannel.open(file)) {
            int size = Math.toIntExact(channel.size());
            ByteBuffer memory = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
            while (memory.hasRemaining()) {
                channel.read(memory);
            }
            sum[0] = 0;
            for (int at = 0; at < size; at += PIECE) {
                sum[0] += sum(memory.slice(at, Math.min(PIECE, size - at)).order(ByteOrder.nativeOrder()));
            }
            return size * 1e3 / (System.nanoTime() - start);
        }
    }

    private void faults() throws Exception {
        Measurement inline = () -> java(FaultEngine.INLINE, page, 1);
        compare("inline, Java", inline, "inline, C", () -> c("inline"), "ns/page");
        for (String loop : new String[] {"block", "poll", "busy"}) {
            compare("inline, Java", inline, "handler thread (" + loop + "), C, idle", () -> c(loop), "ns/page");
            compare("inline, Java", inline, "handler thread (" + loop + "), C, busy", () -> c(loop + "+load"), "ns/page");
        }
        compare("inline, 16 pages a fault, Java", () -> java(FaultEngine.INLINE, 16 * page, 1), "UFFDIO_COPY of 16 pages, C",
                () -> c("copy16"), "ns/page");
        compare("inline, 16 pages a fault, Java", () -> java(FaultEngine.INLINE, 16 * page, 1), "the same, C",
                () -> c("inline16"), "ns/page");
        compare("inline, 1 thread, Java", inline, "inline, 2 threads, Java", () -> java(FaultEngine.INLINE, page, 2), "ns/page");
        compare("engine THREAD, Java", () -> java(FaultEngine.THREAD, page, 1), "handler thread (poll), C", () -> c("poll"), "ns/page");
        compare("inline, Java", inline, "anonymous memory, C", () -> c("anonymous"), "ns/page");
    }

    private void throughput(Path file) throws Exception {
        long[] mine = new long[1];
        long[] other = new long[1];
        for (long around : new long[] {0, 64 << 10, 256 << 10, 1 << 20}) {
            compare("lazily, " + (around == 0 ? "own choice" : around / 1024 + " KiB a fault"), () -> lazily(file, around, mine),
                    "FileChannel.read first", () -> directBuffer(file, other), "MB/s");
            if (mine[0] != other[0]) {
                throw new AssertionError("not the same content");
            }
        }
        compare("region read first", () -> eagerly(file, mine), "FileChannel.read first", () -> directBuffer(file, other), "MB/s");
    }

    /**
     * Runs all.
     *
     * @param arguments the C program, a file, the number of rounds
     */
    public static void main(String[] arguments) throws Exception {
        FaultCosts costs = new FaultCosts(Path.of(arguments[0]), Integer.parseInt(arguments[2]));
        Path file = Path.of(arguments[1]);
        System.out.println("Linux " + System.getProperty("os.version") + ", JDK " + Runtime.version() + ", "
                + Runtime.getRuntime().availableProcessors() + " processors, pages of " + costs.page + ", " + PAGES + " pages, "
                + costs.rounds + " rounds; median, and of the ratios min to max");
        for (int i = 0; i < 3; i++) { // warm-up
            costs.java(FaultEngine.INLINE, costs.page, 1);
            costs.java(FaultEngine.THREAD, costs.page, 2);
            lazily(file, 0, new long[1]);
            directBuffer(file, new long[1]);
        }
        costs.faults();
        costs.throughput(file);
    }
}
