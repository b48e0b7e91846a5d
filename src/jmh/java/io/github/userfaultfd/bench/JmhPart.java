// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.results.format.ResultFormatFactory;
import org.openjdk.jmh.results.format.ResultFormatType;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/** The benchmarks under JMH, each in JVMs of its own. */
final class JmhPart {
    /** What {@link HugePageFaultBenchmark} uses at most; what was emptied is free again before it is touched. */
    static final long HUGE_PAGES = HugePageFaultBenchmark.FAULTS * 4L;

    private final Scale scale;
    private final Path directory;
    private final Path histograms;
    private final boolean hugePages;
    private final List<RunResult> results = new ArrayList<>();

    JmhPart(Scale scale, Path directory, boolean hugePages) {
        this.scale = scale;
        this.directory = directory;
        this.histograms = directory.resolve("histograms");
        this.hugePages = hugePages;
    }

    void run() throws IOException, RunnerException {
        Files.createDirectories(histograms);
        try (Stream<Path> old = Files.list(histograms)) {
            for (Path each : old.toList()) {
                Files.delete(each);
            }
        }
        run(ApiBenchmark.class);
        run(ReadEventsBenchmark.class);
        run(DirtyBenchmark.class);
        Engine[] all = Engine.values();
        Engine[] java = {Engine.BLOCK, Engine.POLL};
        Engine[] pagers = {Engine.INLINE, Engine.THREAD};
        if (scale.full) {
            faults(all, Memory.ANONYMOUS, new int[] {1, 4, 16, 64, 256}, 1, 2);
            faults(all, Memory.SHARED, new int[] {1, 4, 16, 64, 256}, 1, 2);
            faults(java, Memory.CONTINUE, new int[] {1, 4, 16, 64, 256}, 1, 2);
        } else {
            faults(all, Memory.ANONYMOUS, new int[] {1, 16}, 1);
            faults(all, Memory.ANONYMOUS, new int[] {1}, 2);
            faults(pagers, Memory.SHARED, new int[] {1}, 1);
            faults(new Engine[] {Engine.POLL}, Memory.CONTINUE, new int[] {1}, 1);
        }
        if (hugePages) {
            faults(scale.full ? all : pagers, Memory.HUGE, scale.full ? new int[] {1, 4} : new int[] {1},
                    scale.full ? new int[] {1, 2} : new int[] {1});
        }
        ResultFormatFactory.getInstance(ResultFormatType.JSON, directory.resolve("jmh.json").toString()).writeOut(results);
    }

    private void faults(Engine[] engines, Memory memory, int[] around, int... threads) throws RunnerException {
        Class<?> benchmark = memory == Memory.HUGE ? HugePageFaultBenchmark.class : FaultBenchmark.class;
        results.addAll(new Runner(options(benchmark)
                .param("engine", Arrays.stream(engines).map(Enum::name).toArray(String[]::new))
                .param("memory", memory.name())
                .param("around", Arrays.stream(around).mapToObj(Integer::toString).toArray(String[]::new))
                .param("faulting", Arrays.stream(threads).mapToObj(Integer::toString).toArray(String[]::new))
                .build()).run());
    }

    private void run(Class<?> benchmark) throws RunnerException {
        results.addAll(new Runner(options(benchmark).build()).run());
    }

    private ChainedOptionsBuilder options(Class<?> benchmark) {
        return new OptionsBuilder()
                .include("\\." + benchmark.getSimpleName() + "\\.")
                .forks(scale.forks)
                .warmupIterations(scale.warmups).warmupTime(scale.time)
                .measurementIterations(scale.iterations).measurementTime(scale.time)
                .shouldFailOnError(true)
                .addProfiler(GCProfiler.class)
                .jvmArgs("-Xmx256m", "-XX:MaxDirectMemorySize=256m", "-D" + FaultState.DIRECTORY + "=" + histograms);
    }
}
