// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.paging.PagerStats;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.SplittableRandom;

/**
 * The main job on real data: a file becomes memory through page faults, a page when it is touched. Beside it, in the same run,
 * the same work on memory that the whole file was read into first.
 */
final class Demo {
    private static final int LOOK_UPS = 1000;
    private static final int SEED = 42;
    private static final double MILLION = 1e6;
    private static final double THOUSAND = 1e3;

    private final Path file;
    private final PrintStream out;
    private final Progress progress = new Progress();

    Demo(Path file, PrintStream out) {
        this.file = file;
        this.out = out;
    }

    static Path ownModules() {
        return Path.of(System.getProperty("java.home"), "lib", "modules");
    }

    /** What one way of having the file in memory cost, in nanoseconds. */
    private record Result(long firstByte, long lookUps, long readAll, byte[] sha256, String found) {}

    /** {@return whether the restored memory equals the file} */
    boolean run() throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new IOException(file + (Files.exists(file) ? " is not a regular file" : " does not exist"));
        }
        long size = Files.size(file);
        if (size == 0) {
            throw new IOException(file + " is empty");
        }
        byte[] expected = fileSha256();
        warmUp();
        Result eager = wholeFileFirst(size);
        MemoryRegion region = MemoryRegion.anonymous(size);
        try (region) {
            Result lazy;
            String engine;
            PagerStats afterLookUps;
            PagerStats stats;
            long start = System.nanoTime();
            try (Pager pager = Pager.of(region, PageSource.file(file)).start()) {
                Content content = new Content(region::asByteBuffer, size);
                content.part(size / 2, 1, ByteOrder.nativeOrder()).get(0);
                long firstByte = System.nanoTime() - start;
                PagerStats[] counted = new PagerStats[1];
                lazy = work(content, firstByte, () -> counted[0] = pager.stats());
                afterLookUps = counted[0];
                stats = pager.stats();
                engine = pager.engine().toString();
            }
            boolean equal = Arrays.equals(expected, lazy.sha256) && Arrays.equals(expected, eager.sha256);
            report(size, engine, lazy, eager, afterLookUps, stats, equal ? HexFormat.of().formatHex(expected) : null);
            return equal;
        } finally {
            progress.clear();
        }
    }

    /** Loads the library and the classes, so that the times below are those of a program that runs already. */
    private static void warmUp() throws IOException {
        try (MemoryRegion region = MemoryRegion.anonymous(1); Pager pager = Pager.of(region, PageSource.zeros()).start()) {
            region.asByteBuffer(0, 1).get(0);
            pager.stats();
        }
    }

    private Result wholeFileFirst(long size) throws IOException {
        try (MemoryRegion memory = MemoryRegion.anonymous(size); FileChannel channel = FileChannel.open(file)) {
            long start = System.nanoTime();
            for (long at = 0; at < size;) {
                ByteBuffer piece = memory.asByteBuffer(at, (int) Math.min(8 << 20, size - at));
                int read = channel.read(piece, at);
                if (read < 0) {
                    throw new EOFException(file + " became shorter while it was read");
                }
                at += read;
                progress.at("reading the file", at, size);
            }
            Content content = new Content(memory::asByteBuffer, size);
            content.part(size / 2, 1, ByteOrder.nativeOrder()).get(0);
            return work(content, System.nanoTime() - start, () -> { });
        }
    }

    /** The work that is the same for both: look entries up, read all, make the checksum. */
    private Result work(Content content, long firstByte, Runnable afterLookUps) {
        SplittableRandom random = new SplittableRandom(SEED);
        Entries entries = new Entries(content);
        long start = System.nanoTime();
        int keep = 0;
        for (int i = 0; i < LOOK_UPS; i++) {
            keep ^= entries.lookUp(random);
        }
        long lookUps = System.nanoTime() - start;
        afterLookUps.run();
        start = System.nanoTime();
        long sum = content.sum(progress) ^ keep;
        long readAll = System.nanoTime() - start;
        byte[] sha256 = content.sha256(progress);
        progress.clear();
        return new Result(firstByte, lookUps, readAll, sha256, sum == 0 ? entries.found() + " " : entries.found());
    }

    private byte[] fileSha256() throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            Content content = new Content((offset, length) -> {
                ByteBuffer piece = ByteBuffer.allocate(length);
                try {
                    for (int read = 0; read >= 0 && piece.hasRemaining();) {
                        read = channel.read(piece, offset + piece.position());
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
                return piece.flip();
            }, channel.size());
            return content.sha256(progress);
        }
    }

    private void report(long size, String engine, Result lazy, Result eager, PagerStats early, PagerStats stats, String sha256) {
        double megabytes = size / MILLION;
        out.printf("%s, %.1f MB, restored lazily through page faults (engine %s)%n", file, megabytes, engine);
        out.printf("Linux %s, JDK %s, file in the page cache, each way once%n%n", System.getProperty("os.version"),
                Runtime.version());
        String row = "%-42s %12s %20s%n";
        out.printf(row, "", "lazily", "whole file first");
        out.printf(row, "time to the first byte", time(lazy.firstByte), time(eager.firstByte));
        out.printf(row, LOOK_UPS + " random entries, " + lazy.found.strip(), time(lazy.lookUps), time(eager.lookUps));
        out.printf(row, "  memory filled by then", String.format("%.1f MB", early.bytes() / MILLION),
                String.format("%.1f MB", megabytes));
        out.printf(row, "then reading it all", rate(size, lazy.readAll), rate(size, eager.readAll));
        out.printf(row, "from nothing to all read", time(lazy.firstByte + lazy.lookUps + lazy.readAll),
                time(eager.firstByte + eager.lookUps + eager.readAll));
        out.printf("%nfaults %d, pages filled %d (%.1f a fault)%n", stats.faults(), stats.pages(),
                (double) stats.pages() / Math.max(1, stats.faults()));
        out.println(sha256 == null ? "SHA-256: THE MEMORY IS NOT WHAT THE FILE IS" : "SHA-256 as the file's: " + sha256);
    }

    private static String time(long nanos) {
        return nanos < MILLION ? String.format("%.0f us", nanos / THOUSAND) : String.format("%.1f ms", nanos / MILLION);
    }

    private static String rate(long bytes, long nanos) {
        return String.format("%.0f MB/s", bytes * THOUSAND / nanos);
    }
}
