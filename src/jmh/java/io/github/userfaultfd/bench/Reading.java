// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.paging.PagerBuilder;
import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/** A file that is read through page faults, and in the ways that people have without this library. */
final class Reading {
    /** How the file becomes memory. */
    @FunctionalInterface
    interface Way {
        Opened open(Path file) throws IOException;
    }

    /** A file in memory, or soon to be. */
    record Opened(ByteBuffer bytes, AutoCloseable owner) {}

    private static final int PIECE = 1 << 20;

    private Reading() {}

    /** A pager with a fixed window in bytes, or its own choice if that is 0. */
    static Way lazily(long around) {
        return file -> {
            MemoryRegion region = MemoryRegion.anonymous(Files.size(file));
            PagerBuilder options = Pager.of(region, PageSource.file(file));
            (around > 0 ? options.faultAround(around) : options).start();
            return new Opened(region.asByteBuffer(0, Math.toIntExact(Files.size(file))), region);
        };
    }

    /** FileChannel.map. */
    static Opened map(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            return new Opened(channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()).order(ByteOrder.nativeOrder()), () -> { });
        }
    }

    /** The whole file by FileChannel.read into a direct buffer of the JDK. */
    static Opened direct(Path file) throws IOException {
        ByteBuffer memory = ByteBuffer.allocateDirect(Math.toIntExact(Files.size(file))).order(ByteOrder.nativeOrder());
        readInto(file, memory);
        return new Opened(memory, () -> { });
    }

    /** The same into a byte array. */
    static Opened heap(Path file) throws IOException {
        ByteBuffer memory = ByteBuffer.allocate(Math.toIntExact(Files.size(file))).order(ByteOrder.nativeOrder());
        readInto(file, memory);
        return new Opened(memory, () -> { });
    }

    /** The same into a region of this library without a pager. */
    static Opened region(Path file) throws IOException {
        MemoryRegion region = MemoryRegion.anonymous(Files.size(file));
        ByteBuffer memory = region.asByteBuffer(0, Math.toIntExact(Files.size(file)));
        readInto(file, memory);
        return new Opened(memory, region);
    }

    private static void readInto(Path file, ByteBuffer memory) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            int size = memory.capacity();
            for (int at = 0; at < size; at = memory.position()) {
                memory.limit(Math.min(size, at + PIECE));
                if (channel.read(memory) < 0) {
                    throw new IOException(file + " became shorter");
                }
            }
            memory.clear();
        }
    }

    private static Way named(String name) {
        return switch (name) {
            case "lazily" -> lazily(0);
            case "map" -> Reading::map;
            case "direct" -> Reading::direct;
            case "heap" -> Reading::heap;
            case "region" -> Reading::region;
            default -> throw new IllegalArgumentException(name);
        };
    }

    /** The sum of all. */
    static long all(ByteBuffer bytes) {
        long sum = 0;
        int longs = bytes.capacity() / Long.BYTES;
        for (int i = 0; i < longs; i++) {
            sum += bytes.getLong(i * Long.BYTES);
        }
        return sum;
    }

    /** The sum of one long of each of some pages, in the given order. */
    static long some(ByteBuffer bytes, int[] offsets) {
        long sum = 0;
        for (int offset : offsets) {
            sum += bytes.getLong(offset);
        }
        return sum;
    }

    /** The offsets of every {@code step}-th page of a file, in an order that is random and always the same. */
    static int[] shuffled(Path file, long page, int step) throws IOException {
        int[] offsets = new int[Math.toIntExact(Files.size(file) / page / step)];
        Arrays.setAll(offsets, i -> (int) (i * page * step));
        Random random = new Random(5);
        for (int i = offsets.length - 1; i > 0; i--) {
            int other = random.nextInt(i + 1);
            int kept = offsets[i];
            offsets[i] = offsets[other];
            offsets[other] = kept;
        }
        return offsets;
    }

    /** What is done with the bytes. */
    @FunctionalInterface
    interface Use {
        long apply(ByteBuffer bytes);
    }

    /** The buffers of earlier rounds are unmapped by a thread of the JVM, which would hold up whoever faults meanwhile. */
    private static void awaitFreed() throws InterruptedException {
        for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class)) {
            for (int i = 0; i < 200 && pool.getMemoryUsed() > PIECE; i++) {
                System.gc();
                Thread.sleep(10);
            }
        }
    }

    /** Nanoseconds from opening until done; {@code result} gets what was read, for comparing. What was opened is closed after. */
    static long time(Path file, Way way, Use use, long[] result) throws Exception {
        awaitFreed();
        long start = System.nanoTime();
        Opened opened = way.open(file);
        result[0] = use.apply(opened.bytes());
        long nanos = System.nanoTime() - start;
        opened.owner().close();
        return nanos;
    }

    private static long resident(String kind) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(each -> each.startsWith(kind))
                .mapToLong(each -> Long.parseLong(each.replaceAll("\\D", ""))).sum();
    }

    /**
     * Prints by how many MiB the process has grown when a part of the file was read: in a JVM of its own.
     *
     * @param arguments the file, the way, every how many-th page is read, the field of /proc/self/status
     */
    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        int[] offsets = shuffled(file, io.github.userfaultfd.memory.PageSize.system().bytes(), Integer.parseInt(arguments[2]));
        long before = resident(arguments[3]);
        Opened opened = named(arguments[1]).open(file);
        long sum = some(opened.bytes(), offsets);
        System.out.println((resident(arguments[3]) - before) / 1024.0);
        opened.owner().close();
        if (sum == 42) {
            throw new AssertionError("not likely; but the sum has to be made");
        }
    }
}
