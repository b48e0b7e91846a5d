// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.HdrHistogram.Histogram;

/** A region whose pages are missing, and somebody who fills each with ones when it is touched. */
final class PagedMemory implements AutoCloseable {
    private final Engine engine;
    private final Memory memory;
    private final MemoryRegion region;
    /** What is copied from, new memory each time as in C: what a page costs depends on where its memory happens to be. */
    private final MemoryRegion source;
    private final JavaHandler handler;
    private final ByteBuffer buffer;
    private final int page;

    /**
     * Maps the memory and starts who fills it.
     *
     * @param around pages for one fault, a power of two
     * @param pages how many; all of them have to fit one buffer
     */
    PagedMemory(Engine engine, Memory memory, int around, int pages) throws IOException {
        this.engine = engine;
        this.memory = memory;
        region = map(memory, pages);
        page = (int) region.pageSize();
        buffer = region.asByteBuffer(0, Math.toIntExact(region.size()));
        source = memory == Memory.CONTINUE ? null : MemoryRegion.anonymous(region.size());
        if (source != null) {
            fill(source.asByteBuffer(0, buffer.capacity()));
        } else {
            fill(region.asAliasByteBuffer(0, buffer.capacity()));
        }
        handler = start(around);
    }

    /** The size of a page of this kind, in bytes. */
    static long pageSize(Memory memory) {
        return memory == Memory.HUGE ? HugePages.SIZE : PageSize.system().bytes();
    }

    private static MemoryRegion map(Memory memory, int pages) throws IOException {
        long bytes = pages * pageSize(memory);
        return switch (memory) {
            case ANONYMOUS -> MemoryRegion.anonymous(bytes);
            case SHARED, CONTINUE -> MemoryRegion.shared(bytes);
            case HUGE -> MemoryRegion.hugePages(bytes, PageSize.of(HugePages.SIZE));
        };
    }

    private static void fill(ByteBuffer memory) {
        for (int at = 0; at < memory.capacity(); at += Long.BYTES) {
            memory.putLong(at, 0x0101010101010101L);
        }
    }

    /** Starts what engine it is; the pagers live as long as the region. */
    private JavaHandler start(int around) throws IOException {
        if (engine.isJava()) {
            return new JavaHandler(region, source == null ? 0 : source.address(), around * region.pageSize(), engine == Engine.POLL);
        }
        if (source == null) {
            throw new IllegalArgumentException("a pager fills by UFFDIO_COPY: " + engine + " has no " + memory);
        }
        Pager.of(region, PageSource.memory(source.address(), region.size()))
                .engine(engine == Engine.INLINE ? FaultEngine.INLINE : FaultEngine.THREAD)
                .faultAround(around * region.pageSize()).start();
        return null;
    }

    /** The Java thread that resolves faults, or -1. */
    long handlerId() {
        return handler == null ? -1 : handler.threadId();
    }

    /** Makes all pages missing again. */
    void empty() throws IOException {
        if (memory == Memory.SHARED) {
            region.punchHole(0, region.size());
        } else {
            region.discard(0, region.size());
        }
    }

    /** Touches every {@code step}-th page of a part, in pages; the sum of the bytes. */
    long touch(int from, int to, int step) throws IOException {
        return engine.isJava() ? fetchEach(from, to, step) : getEach(from, to, step);
    }

    private long getEach(int from, int to, int step) {
        long sum = 0;
        for (int at = from * page, end = to * page, stride = step * page; at != end; at += stride) {
            sum += buffer.get(at);
        }
        return sum;
    }

    private long fetchEach(int from, int to, int step) throws IOException {
        long sum = 0;
        for (int i = from; i < to; i += step) {
            region.fetch((long) i * page, 1);
            sum += buffer.get(i * page);
        }
        return sum;
    }

    /** Like {@link #touch}, with the time of each touch in nanoseconds. */
    long time(int from, int to, int step, Histogram times) throws IOException {
        long sum = 0;
        long before = System.nanoTime();
        for (int i = from; i < to; i += step) {
            if (engine.isJava()) {
                region.fetch((long) i * page, 1);
            }
            sum += buffer.get(i * page);
            long after = System.nanoTime();
            times.recordValue(after - before);
            before = after;
        }
        return sum;
    }

    /** Nanoseconds a page of touching each page of new memory once, shared out among threads that start now. */
    static double run(Engine engine, Memory memory, int around, int threads, int pages) throws Exception {
        try (PagedMemory paged = new PagedMemory(engine, memory, around, pages)) {
            long[] sums = new long[threads];
            Thread[] others = new Thread[threads];
            Exception[] failed = new Exception[1];
            int part = pages / threads;
            long start = System.nanoTime();
            for (int i = 1; i < threads; i++) {
                int index = i;
                int end = i + 1 < threads ? (i + 1) * part : pages;
                others[i] = new Thread(() -> {
                    try {
                        sums[index] = paged.touch(index * part, end, 1);
                    } catch (IOException e) {
                        failed[0] = e;
                    }
                });
                others[i].start();
            }
            sums[0] = paged.touch(0, threads > 1 ? part : pages, 1);
            for (int i = 1; i < threads; i++) {
                others[i].join();
            }
            long nanos = System.nanoTime() - start;
            if (failed[0] != null) {
                throw failed[0];
            }
            checkSum(pages, Arrays.stream(sums).sum());
            return (double) nanos / pages;
        }
    }

    /** Nanoseconds of touching a page of new memory, with so much work before each touch, which is not counted. */
    static double runRarely(Engine engine, Memory memory, int pages, long work) throws IOException {
        try (PagedMemory paged = new PagedMemory(engine, memory, 1, pages)) {
            long sum = 0;
            long time = 0;
            for (int i = 0; i < pages; i++) {
                long end = System.nanoTime() + work;
                long start;
                do {
                    start = System.nanoTime();
                } while (start < end);
                sum += paged.touch(i, i + 1, 1);
                time += System.nanoTime() - start;
            }
            checkSum(pages, sum);
            return (double) time / pages;
        }
    }

    /** Each page that was touched has to be one of ones. */
    static void checkSum(long touched, long sum) {
        if (sum != touched) {
            throw new AssertionError(touched + " pages sum up to " + sum);
        }
    }

    @Override
    public void close() {
        if (handler != null) {
            handler.close();
        }
        region.close();
        if (source != null) {
            source.close();
        }
    }
}
