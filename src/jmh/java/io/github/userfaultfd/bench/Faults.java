// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.infra.IterationParams;

/** One fault, which fills {@code around} pages: its mean, its distribution (beside JMH's result), and what it allocates. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public abstract class Faults {
    @Param({"INLINE", "THREAD", "BLOCK", "POLL"})
    Engine engine;

    /** How many threads fault in the one region. */
    @Param({"1", "2"})
    int faulting;

    private FaultState state;

    /** What the library allocates on the heap for the faults, without what JMH does between them. */
    @State(Scope.Thread)
    @AuxCounters(AuxCounters.Type.EVENTS)
    public static class Allocation {
        public long allocatedBytes;
        public long faults;
    }

    /** Makes the memory. */
    abstract FaultState open() throws IOException;

    @Setup(Level.Trial)
    public void start() throws IOException {
        state = open();
    }

    @Setup(Level.Invocation)
    public void empty() throws IOException {
        state.empty();
    }

    final long touch(Allocation allocation, int faults) throws IOException {
        long sum = state.touch();
        allocation.allocatedBytes += state.takeAllocated();
        allocation.faults += faults;
        return sum;
    }

    @TearDown(Level.Iteration)
    public void endIteration(IterationParams iteration) {
        state.endIteration(iteration);
    }

    @TearDown(Level.Trial)
    public void close() throws IOException {
        state.close();
    }
}
