// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.Param;

/** Faults in huge pages, of which fewer are at hand. */
public class HugePageFaultBenchmark extends Faults {
    /** Faults before the memory is emptied again; a multiple of each number of threads. */
    static final int FAULTS = 16;

    @Param("HUGE")
    Memory memory;

    @Param({"1", "4"})
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
