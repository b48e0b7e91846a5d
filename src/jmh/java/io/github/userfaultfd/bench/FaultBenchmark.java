// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.Param;

/** Faults in pages of the system's size. */
public class FaultBenchmark extends Faults {
    /** Faults before the memory is emptied again; a multiple of each number of threads. */
    static final int FAULTS = 256;

    @Param({"ANONYMOUS", "SHARED", "CONTINUE"})
    Memory memory;

    @Param({"1", "4", "16", "64", "256"})
    int around;

    @Override
    FaultState open() throws IOException {
        return new FaultState(engine, memory, around, faulting, FAULTS);
    }

    @Benchmark
    @OperationsPerInvocation(FAULTS)
    public long fault(Allocation allocation) throws IOException {
        return touch(allocation, FAULTS);
    }
}
