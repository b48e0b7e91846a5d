// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** One call of {@link Uffd#readEvents} while so many threads wait for a page, each from native code. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class ReadEventsBenchmark {
    @Param({"1", "64"})
    int waiting;

    private final EventBuffer events = EventBuffer.allocate(64);
    private final Semaphore turn = new Semaphore(0);
    private final Semaphore done = new Semaphore(0);
    private volatile boolean closed;
    private MemoryRegion region;
    private MemoryRegion source;
    private Uffd uffd;
    private Path status;

    @Setup(Level.Trial)
    public void start() throws IOException {
        source = MemoryRegion.anonymous(1);
        region = MemoryRegion.anonymous(waiting * source.pageSize());
        uffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).create();
        uffd.register(region.address(), region.size());
        status = Path.of("/proc/self/fdinfo/" + uffd.fd());
        for (int i = 0; i < waiting; i++) {
            long offset = i * region.pageSize();
            Thread thread = new Thread(() -> waitFor(offset), "waits for " + offset);
            thread.setDaemon(true);
            thread.start();
        }
    }

    private void waitFor(long offset) {
        for (;;) {
            turn.acquireUninterruptibly();
            if (closed) {
                return;
            }
            try {
                region.fetch(offset, 1);
            } catch (IOException e) {
                e.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
            done.release();
        }
    }

    /** Lets the threads go and returns when the kernel tells that so many faults are pending. */
    @Setup(Level.Invocation)
    public void fault() throws IOException {
        region.discard(0, region.size());
        turn.release(waiting);
        while (!Files.readString(status).contains("pending:\t" + waiting + "\n")) {
            Thread.yield();
        }
    }

    @Benchmark
    public int readEvents() throws IOException {
        return uffd.readEvents(events);
    }

    @TearDown(Level.Invocation)
    public void resolve() throws IOException {
        if (events.size() != waiting) {
            throw new AssertionError(events.size() + " events of " + waiting);
        }
        for (int i = 0; i < waiting; i++) {
            uffd.copy(events.faultAddress(i) & -region.pageSize(), source.address(), region.pageSize());
        }
        done.acquireUninterruptibly(waiting);
    }

    @TearDown(Level.Trial)
    public void close() {
        closed = true;
        turn.release(waiting);
        uffd.close();
        region.close();
        source.close();
        events.close();
    }
}
