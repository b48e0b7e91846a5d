// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.snapshot.DirtyTracker;
import io.github.userfaultfd.snapshot.LiveSnapshot;
import io.github.userfaultfd.snapshot.Snapshotter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * What snapshots and dirty tracking cost, beside memcpy and fork() of the same resident size in plain C. Arguments: the C program,
 * the directory of the picture, the number of rounds, and the sizes in GiB.
 */
public final class SnapshotCosts {
    private static final long GIB = 1L << 30;
    private static final int WINDOW = 1 << 28;

    private final Path program;
    private final int rounds;
    /** Milliseconds by what holds up the writers and by GiB. */
    private final Map<String, SortedMap<Integer, Double>> pauses = new LinkedHashMap<>();

    private SnapshotCosts(Path program, int rounds) {
        this.program = program;
        this.rounds = rounds;
    }

    public static void main(String[] arguments) throws Exception {
        SnapshotCosts costs = new SnapshotCosts(Path.of(arguments[0]), Integer.parseInt(arguments[2]));
        for (String each : Arrays.asList(arguments).subList(3, arguments.length)) {
            costs.pause(Integer.parseInt(each));
        }
        new Pictures(Path.of(arguments[1])).pauses(costs.pauses);
        costs.firstWrite();
        costs.collect();
        costs.throughput();
    }

    private static void print(String what, double[] times, String unit) {
        Arrays.sort(times);
        System.out.printf(Locale.ROOT, "%-64s %10.2f %10.2f %10.2f %s (min, median, max)%n", what, times[0], times[times.length / 2],
                times[times.length - 1], unit);
    }

    private static double millisSince(long start) {
        return (System.nanoTime() - start) / 1e6;
    }

    /** Writes one byte of every step-th page, in pieces that a buffer can have. */
    private static void write(MemoryRegion region, long step, byte value) {
        long page = region.pageSize();
        long at = 0;
        for (long from = 0; from < region.size(); from += WINDOW) {
            ByteBuffer window = region.asByteBuffer(from, (int) Math.min(WINDOW, region.size() - from));
            for (; at < from + window.capacity(); at += step * page) {
                window.put((int) (at - from), value);
            }
        }
    }

    private void pause(int gib) throws Exception {
        double[] memcpy = new double[rounds];
        double[] fork = new double[rounds];
        for (int i = 0; i < rounds; i++) {
            Process process = new ProcessBuilder(program.toString(), Integer.toString(gib)).redirectErrorStream(true).start();
            try (BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
                String line = out.readLine();
                if (process.waitFor() != 0) {
                    throw new IOException(program + ": " + line);
                }
                memcpy[i] = Double.parseDouble(line.split(" ")[0]);
                fork[i] = Double.parseDouble(line.split(" ")[1]);
            }
        }
        print("memcpy of " + gib + " GiB, C", memcpy, "ms");
        print("fork() with " + gib + " GiB resident, C", fork, "ms");
        note("memcpy, C", gib, memcpy);
        note("fork(), C", gib, fork);
        try (MemoryRegion region = MemoryRegion.anonymous(gib * GIB)) {
            note("snapshot", gib, begins(region, gib + " GiB"));
        }
        String lacking = HugePages.need(gib * GIB / Math.max(1, HugePages.SIZE));
        if (lacking.isEmpty()) {
            try (MemoryRegion region = MemoryRegion.hugePages(gib * GIB, PageSize.of(HugePages.SIZE))) {
                note("snapshot, huge pages", gib, begins(region, gib + " GiB of huge pages"));
            }
        } else {
            System.out.println("no huge pages: " + lacking);
        }
    }

    /** The times are sorted. */
    private void note(String what, int gib, double[] times) {
        pauses.computeIfAbsent(what, each -> new TreeMap<>()).put(gib, times[times.length / 2]);
    }

    /** How long begin takes, and how long it holds up a thread that writes to random pages, which is returned for the first one. */
    private double[] begins(MemoryRegion region, String size) throws Exception {
        write(region, 1, (byte) 1);
        double[] first = new double[rounds];
        double[] firstPause = new double[rounds];
        double[] next = new double[rounds];
        double[] nextPause = new double[rounds];
        for (int i = 0; i < rounds; i++) {
            try (Snapshotter snapshotter = Snapshotter.of(region).start()) {
                first[i] = begin(snapshotter);
            }
            try (Snapshotter snapshotter = Snapshotter.of(region).start()) {
                firstPause[i] = longestPause(region, snapshotter);
                write(region, 100, (byte) i);
                next[i] = begin(snapshotter);
                write(region, 100, (byte) i);
                nextPause[i] = longestPause(region, snapshotter);
            }
        }
        print("begin of a first snapshot of " + size, first, "ms");
        print("longest pause of a writer meanwhile", firstPause, "ms");
        print("begin of the next one, 1 % of the pages written", next, "ms");
        print("longest pause of a writer meanwhile", nextPause, "ms");
        return firstPause;
    }

    private static double longestPause(MemoryRegion region, Snapshotter snapshotter) throws Exception {
        AtomicBoolean over = new AtomicBoolean();
        long[] longest = new long[1];
        CountDownLatch writing = new CountDownLatch(1);
        Thread writer = new Thread(() -> {
            SplittableRandom random = new SplittableRandom(1);
            ByteBuffer memory = region.asByteBuffer(0, (int) Math.min(region.size(), GIB));
            long last = System.nanoTime();
            while (!over.get()) {
                memory.put(random.nextInt(memory.capacity()), (byte) 3);
                long now = System.nanoTime();
                longest[0] = Math.max(longest[0], now - last);
                last = now;
                writing.countDown();
            }
        });
        writer.start();
        writing.await();
        LiveSnapshot snapshot = snapshotter.begin();
        over.set(true);
        writer.join();
        snapshot.close();
        return longest[0] / 1e6;
    }

    private static double begin(Snapshotter snapshotter) throws IOException {
        long start = System.nanoTime();
        LiveSnapshot snapshot = snapshotter.begin();
        double time = millisSince(start);
        snapshot.close();
        return time;
    }

    private void firstWrite() throws Exception {
        double[] during = new double[rounds];
        double[] ahead = new double[rounds];
        double[] again = new double[rounds];
        try (MemoryRegion region = MemoryRegion.anonymous(GIB / 4)) {
            long pages = region.size() / region.pageSize();
            for (int i = 0; i < rounds; i++) {
                write(region, 1, (byte) 1);
                try (LiveSnapshot snapshot = LiveSnapshot.begin(region)) {
                    during[i] = perPage(region, pages);
                    again[i] = perPage(region, pages);
                    snapshot.release(0, region.size());
                }
                try (Snapshotter snapshotter = Snapshotter.of(region).openAhead(64 * 1024).start();
                        LiveSnapshot snapshot = snapshotter.begin()) {
                    ahead[i] = perPage(region, pages);
                    snapshot.release(0, region.size());
                }
            }
        }
        print("first write to a page during a snapshot", during, "ns");
        print("the same, sequential with 64 KiB opened ahead", ahead, "ns");
        print("a write to a page that is open", again, "ns");
    }

    private static double perPage(MemoryRegion region, long pages) {
        long start = System.nanoTime();
        write(region, 1, (byte) 2);
        return (double) (System.nanoTime() - start) / pages;
    }

    private void collect() throws Exception {
        double[] collected = new double[rounds];
        long[] bytes = new long[1];
        try (MemoryRegion region = MemoryRegion.anonymous(4 * GIB)) {
            write(region, 1, (byte) 1);
            try (DirtyTracker tracker = DirtyTracker.start(region)) {
                for (int i = 0; i < rounds; i++) {
                    write(region, 100, (byte) i);
                    long start = System.nanoTime();
                    tracker.collect((offset, length) -> bytes[0] += length);
                    collected[i] = millisSince(start);
                }
            }
        }
        print("collect of 4 GiB, 1 % of the pages written", collected, "ms");
    }

    /** One writer of random pages, with and without a snapshot that is written to /dev/null meanwhile. */
    private void throughput() throws Exception {
        double[] alone = new double[rounds];
        double[] during = new double[rounds];
        double[] stream = new double[rounds];
        try (MemoryRegion region = MemoryRegion.anonymous(GIB); FileChannel nowhere = FileChannel.open(Path.of("/dev/null"),
                StandardOpenOption.WRITE)) {
            write(region, 1, (byte) 1);
            for (int i = 0; i < rounds; i++) {
                alone[i] = writes(region, () -> {
                    Thread.sleep(300);
                    return 0.0;
                }, new double[1]);
                double[] time = new double[1];
                during[i] = writes(region, () -> {
                    try (LiveSnapshot snapshot = LiveSnapshot.begin(region)) {
                        long start = System.nanoTime();
                        snapshot.drainTo(nowhere);
                        return millisSince(start);
                    }
                }, time);
                stream[i] = time[0];
            }
        }
        print("random writes of one thread, no snapshot", alone, "million/s");
        print("the same from begin to the end of a snapshot of 1 GiB", during, "million/s");
        print("writing that snapshot to /dev/null meanwhile", stream, "ms");
    }

    @FunctionalInterface
    private interface Action {
        double run() throws Exception;
    }

    private static double writes(MemoryRegion region, Action meanwhile, double[] result) throws Exception {
        AtomicBoolean over = new AtomicBoolean();
        long[] count = new long[1];
        ByteBuffer memory = region.asByteBuffer(0, (int) Math.min(region.size(), GIB));
        Thread writer = new Thread(() -> {
            SplittableRandom random = new SplittableRandom(1);
            while (!over.get()) {
                for (int i = 0; i < 100; i++) {
                    memory.put(random.nextInt(memory.capacity()), (byte) i);
                }
                count[0] += 100;
            }
        });
        long start = System.nanoTime();
        writer.start();
        result[0] = meanwhile.run();
        over.set(true);
        writer.join();
        return count[0] * 1e3 / (System.nanoTime() - start);
    }
}
