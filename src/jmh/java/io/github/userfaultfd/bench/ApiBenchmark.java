// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** What single calls cost. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class ApiBenchmark {
    private static final int PAGES = 1024;

    /** The way to C and back: a number that libc knows. */
    @Benchmark
    public int nativeCall() {
        return Native.pageSize();
    }

    /** Opening a userfaultfd with its handshake, and closing it. */
    @Benchmark
    public void createAndClose() throws UffdException {
        new UffdBuilder().closeOnExec(true).create().close();
    }

    /** A registered region, and a page to copy. */
    @State(Scope.Thread)
    public static class Registered {
        private MemoryRegion region;
        private MemoryRegion source;
        private Uffd uffd;
        private long page;

        @Setup(Level.Trial)
        public void register() throws IOException {
            source = MemoryRegion.anonymous(1);
            source.asByteBuffer(0, 1).put(0, (byte) 1);
            page = source.pageSize();
            region = MemoryRegion.anonymous(PAGES * page);
            uffd = new UffdBuilder().closeOnExec(true).create();
            uffd.register(region.address(), region.size());
        }

        @Setup(Level.Invocation)
        public void empty() throws IOException {
            region.discard(0, region.size());
        }

        @TearDown(Level.Trial)
        public void close() {
            uffd.close();
            region.close();
            source.close();
        }
    }

    /** UFFDIO_COPY of one page to a place where none is. */
    @Benchmark
    @OperationsPerInvocation(PAGES)
    public void copyPage(Registered state) throws IOException {
        long end = state.region.address() + state.region.size();
        for (long at = state.region.address(); at < end; at += state.page) {
            state.uffd.copy(at, state.source.address(), state.page);
        }
    }
}
