// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/** The histograms that the runs of {@link FaultBenchmark} left, added up over the JVMs of each. */
record Latencies(Map<Kind, Histogram> histograms) {
    /** What was measured. */
    record Kind(Engine engine, Memory memory, int around, int threads) implements Comparable<Kind> {
        static Kind of(String tag) {
            String[] parts = tag.split("/");
            return new Kind(Engine.valueOf(parts[0]), Memory.valueOf(parts[1]), Integer.parseInt(parts[2]),
                    Integer.parseInt(parts[3]));
        }

        @Override
        public int compareTo(Kind other) {
            return java.util.Comparator.comparing(Kind::memory).thenComparing(Kind::threads).thenComparing(Kind::around)
                    .thenComparing(Kind::engine).compare(this, other);
        }
    }

    static Latencies read(Path directory) throws IOException {
        Map<Kind, Histogram> all = new TreeMap<>();
        List<Path> files;
        try (Stream<Path> found = Files.list(directory)) {
            files = found.sorted().toList();
        }
        for (Path file : files) {
            try (HistogramLogReader reader = new HistogramLogReader(file.toFile())) {
                for (EncodableHistogram each = reader.nextIntervalHistogram(); each != null; each = reader.nextIntervalHistogram()) {
                    all.merge(Kind.of(each.getTag()), (Histogram) each, Latencies::sum);
                }
            }
        }
        return new Latencies(all);
    }

    private static Histogram sum(Histogram one, Histogram other) {
        one.add(other);
        return one;
    }
}
