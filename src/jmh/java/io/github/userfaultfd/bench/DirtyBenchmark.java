// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.snapshot.DirtyTracker;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Dirty tracking of 512 MiB that are all there: what a collect costs, and what a first write costs. */
@BenchmarkMode(Mode.AverageTime)
public class DirtyBenchmark {
    private static final int SIZE = 512 << 20;
    private static final int WRITES = 1024;

    private static int touch(ByteBuffer memory, int page, int pages) {
        int stride = memory.capacity() / page / pages * page;
        int at = 0;
        for (int i = 0; i < pages; i++, at += stride) {
            memory.put(at, (byte) 1);
        }
        return pages;
    }

    /** A tracker, and pages written one by one with room between them. */
    @State(Scope.Thread)
    public static class Written {
        @Param({"0", "1024", "32768"})
        int pages;

        private MemoryRegion region;
        private DirtyTracker tracker;
        private long collected;

        @Setup(Level.Trial)
        public void start() throws IOException {
            region = MemoryRegion.anonymous(SIZE);
            touch(region.asByteBuffer(0, SIZE), (int) region.pageSize(), (int) (SIZE / region.pageSize()));
            tracker = DirtyTracker.start(region);
        }

        @Setup(Level.Invocation)
        public void write() {
            if (pages > 0) {
                touch(region.asByteBuffer(0, SIZE), (int) region.pageSize(), pages);
            }
        }

        @TearDown(Level.Invocation)
        public void check() {
            if (collected != pages * region.pageSize()) {
                throw new AssertionError(collected + " bytes were collected, and " + pages + " pages written");
            }
        }

        @TearDown(Level.Trial)
        public void close() {
            tracker.close();
            region.close();
        }
    }

    /** Finds the written pages and protects them again. */
    @Benchmark
    @OutputTimeUnit(TimeUnit.MICROSECONDS)
    public long collect(Written state) {
        state.collected = 0;
        state.tracker.collect((offset, length) -> state.collected += length);
        return state.collected;
    }

    /** Memory with or without a tracker, clean before each use. */
    @State(Scope.Thread)
    public static class Clean {
        @Param({"true", "false"})
        boolean tracked;

        private MemoryRegion region;
        private DirtyTracker tracker;

        @Setup(Level.Trial)
        public void start() throws IOException {
            region = MemoryRegion.anonymous(SIZE);
            touch(region.asByteBuffer(0, SIZE), (int) region.pageSize(), (int) (SIZE / region.pageSize()));
            tracker = tracked ? DirtyTracker.start(region) : null;
        }

        @Setup(Level.Invocation)
        public void clean() {
            if (tracked) {
                tracker.collect((offset, length) -> { });
            }
        }

        @TearDown(Level.Trial)
        public void close() {
            region.close();
        }
    }

    /** The first write to a page after a collect; pages that are not beside each other. */
    @Benchmark
    @OperationsPerInvocation(WRITES)
    @OutputTimeUnit(TimeUnit.NANOSECONDS)
    public int firstWrite(Clean state) {
        return touch(state.region.asByteBuffer(0, SIZE), (int) state.region.pageSize(), WRITES);
    }
}
