// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import com.sun.management.ThreadMXBean;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogWriter;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.runner.IterationType;

/** A paged memory that is emptied and touched again and again, with the time of each fault. */
final class FaultState implements AutoCloseable {
    /** The directory for the histograms. */
    static final String DIRECTORY = "bench.histograms";

    private static final long LONGEST = 10_000_000_000L;

    private final PagedMemory paged;
    private final String name;
    private final int faults;
    private final int around;
    private final Gang gang;
    private final long[] allocated;
    private final ThreadMXBean bean = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private long allocatedByHandler;
    private final long started = System.currentTimeMillis();
    private final Histogram[] times;
    private final long[] sums;
    private final Histogram all = new Histogram(LONGEST, 3);

    FaultState(Engine engine, Memory memory, int around, int threads, int faults) throws IOException {
        name = engine + "," + memory + "," + around + "," + threads;
        this.faults = faults;
        this.around = around;
        paged = new PagedMemory(engine, memory, around, faults * around);
        times = new Histogram[threads];
        sums = new long[threads];
        allocated = new long[threads];
        for (int i = 0; i < threads; i++) {
            times[i] = new Histogram(LONGEST, 3);
        }
        gang = new Gang(threads, this::touchPart);
    }

    private void touchPart(int member) throws IOException {
        int part = faults / times.length * around; // in pages
        long before = bean.getCurrentThreadAllocatedBytes();
        sums[member] = paged.time(member * part, (member + 1) * part, around, times[member]);
        allocated[member] += bean.getCurrentThreadAllocatedBytes() - before;
    }

    void empty() throws IOException {
        paged.empty();
    }

    long touch() throws IOException {
        gang.run();
        long sum = 0;
        for (long each : sums) {
            sum += each;
        }
        PagedMemory.checkSum(faults, sum);
        return sum;
    }

    /** What the threads that fault, and a handler of Java, have allocated since this was last asked, in bytes. */
    long takeAllocated() {
        long sum = Arrays.stream(allocated).sum();
        Arrays.fill(allocated, 0);
        long id = paged.handlerId();
        if (id >= 0) {
            long now = bean.getThreadAllocatedBytes(id);
            sum += now - allocatedByHandler;
            allocatedByHandler = now;
        }
        return sum;
    }

    void endIteration(IterationParams iteration) {
        for (Histogram each : times) {
            if (iteration.getType() == IterationType.MEASUREMENT) {
                all.add(each);
            }
            each.reset();
        }
    }

    /** Ends all, and writes the histogram in HdrHistogram's own format. */
    @Override
    public void close() throws IOException {
        gang.close();
        paged.close();
        Path file = Path.of(System.getProperty(DIRECTORY, "."), name + "," + ProcessHandle.current().pid() + ".hlog");
        try (PrintStream out = new PrintStream(file.toFile())) {
            HistogramLogWriter writer = new HistogramLogWriter(out);
            writer.outputLegend();
            all.setStartTimeStamp(started);
            all.setEndTimeStamp(System.currentTimeMillis());
            all.setTag(name.replace(',', '/'));
            writer.outputIntervalHistogram(all);
        } catch (FileNotFoundException e) {
            throw new IOException(e);
        }
    }
}
