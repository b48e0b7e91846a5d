// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.HdrHistogram.Histogram;

/** Puts the figures of the last run into docs/performance.md, between two marks, and makes the pictures. */
public final class Report {
    private static final String BEGIN = "<!-- figures: written by the benchmarks, do not edit -->";
    private static final String END = "<!-- end of the figures -->";
    /** What says that Java is behind. */
    private static final double BEHIND = 1.05;

    private final Figures figures;
    private final JsonNode jmh;
    private final Latencies latencies;
    private final StringBuilder text = new StringBuilder();

    private Report(Path results) throws IOException {
        figures = Figures.read(results.resolve("figures.json"));
        jmh = new ObjectMapper().readTree(results.resolve("jmh.json").toFile());
        latencies = Latencies.read(results.resolve("histograms"));
    }

    private static String number(double value) {
        int digits = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
        return String.format(Locale.ROOT, "%." + digits + "f", value);
    }

    private void line(String format, Object... arguments) {
        text.append(String.format(Locale.ROOT, format, arguments)).append('\n');
    }

    private void heading(String title) {
        line("%n### %s%n", title);
    }

    private void row(Object... cells) {
        text.append('|');
        for (Object each : cells) {
            text.append(' ').append(each).append(" |");
        }
        text.append('\n');
    }

    private void head(String... cells) {
        row((Object[]) cells);
        text.append('|').append(" --- |".repeat(cells.length)).append('\n');
    }

    private List<Figures.Comparison> section(String name) {
        return figures.comparisons().stream().filter(each -> each.section().equals(name)).toList();
    }

    /** One row a comparison; behind C is bold. */
    private void comparisons(String section, String title, String mine, String other, boolean mark) {
        List<Figures.Comparison> rows = section(section);
        if (rows.isEmpty()) {
            return;
        }
        heading(title);
        head(mine, rows.get(0).unit(), other, rows.get(0).unit(), "ratio", "from", "to");
        for (Figures.Comparison each : rows) {
            double[] ratios = each.ratios();
            String ratio = number(each.ratio());
            row(each.name(), number(Figures.median(each.values())), each.other(), number(Figures.median(each.others())),
                    mark && each.ratio() > BEHIND ? "**" + ratio + "**" : ratio, number(ratios[0]),
                    number(ratios[ratios.length - 1]));
        }
    }

    private static String micros(long nanos) {
        return number(nanos / 1e3);
    }

    private void latencies(String picture) {
        heading("How long a fault takes");
        line("A touch that faults, in microseconds, with the clock's own time (some 0.03) in it; heap bytes that the library and a");
        line("handler in Java allocate for it.%n");
        head("engine", "memory", "pages a fault", "threads", "mean", "p50", "p90", "p99", "p99.9", "max", "faults", "bytes");
        Map<Latencies.Kind, Double> allocated = allocated();
        latencies.histograms().forEach((kind, histogram) -> row(kind.engine(), kind.memory(), kind.around(), kind.threads(),
                number(histogram.getMean() / 1e3), micros(histogram.getValueAtPercentile(50)),
                micros(histogram.getValueAtPercentile(90)), micros(histogram.getValueAtPercentile(99)),
                micros(histogram.getValueAtPercentile(99.9)), micros(histogram.getMaxValue()), histogram.getTotalCount(),
                bytes(allocated.get(kind))));
        line("%n![How long a fault takes](%s)", picture);
    }

    private static String bytes(double each) {
        return each == 0 ? "0" : each < 0.05 ? "0.0" : String.format(Locale.ROOT, "%.1f", each);
    }

    private Map<Latencies.Kind, Double> allocated() {
        Map<Latencies.Kind, Double> allocated = new LinkedHashMap<>();
        for (JsonNode each : jmh) {
            JsonNode more = each.get("secondaryMetrics");
            if (more.has("allocatedBytes")) {
                JsonNode parameters = each.get("params");
                allocated.put(new Latencies.Kind(Engine.valueOf(parameters.get("engine").asText()),
                        Memory.valueOf(parameters.get("memory").asText()), parameters.get("around").asInt(),
                        parameters.get("faulting").asInt()),
                        more.get("allocatedBytes").get("score").asDouble() / more.get("faults").get("score").asDouble());
            }
        }
        return allocated;
    }

    private void calls() {
        heading("Single calls");
        head("call", "", "time", "± 99.9 %", "unit", "heap bytes, with what prepares the call");
        for (JsonNode each : jmh) {
            JsonNode metric = each.get("primaryMetric");
            if (each.get("secondaryMetrics").has("allocatedBytes")) {
                continue;
            }
            List<String> parameters = new ArrayList<>();
            if (each.has("params")) {
                each.get("params").properties().forEach(parameter -> {
                    if (!parameter.getValue().asText().equals("N/A")) {
                        parameters.add(parameter.getKey() + " " + parameter.getValue().asText());
                    }
                });
            }
            String name = each.get("benchmark").asText();
            double error = metric.get("scoreError").asDouble();
            row(name.substring(name.lastIndexOf('.') + 1), String.join(", ", parameters), number(metric.get("score").asDouble()),
                    Double.isNaN(error) ? "" : number(error), metric.get("scoreUnit").asText(),
                    bytes(each.get("secondaryMetrics").get("gc.alloc.rate.norm").get("score").asDouble()));
        }
        for (Figures.Single each : figures.singles()) {
            if (each.section().equals("start")) {
                row(each.name(), "", number(each.median()), "", each.unit(), "");
            }
        }
    }

    private static String mebibytes(double each) {
        return Long.toString(Math.max(0, Math.round(each)));
    }

    private void resident() {
        heading("Memory after reading one long of some pages");
        head("way", "every nth page", "own memory, MiB", "of the page cache, MiB");
        Map<String, Double> values = new LinkedHashMap<>();
        for (Figures.Single each : figures.singles()) {
            if (each.section().equals("resident")) {
                values.put(each.name(), each.median());
            }
        }
        for (String name : values.keySet()) {
            if (name.endsWith(" RssAnon")) {
                String[] words = name.split(" ");
                row(words[0], words[1], mebibytes(values.get(name)),
                        mebibytes(values.get(words[0] + " " + words[1] + " RssFile")));
            }
        }
    }

    private String write(Path docs) throws IOException {
        Pictures pictures = new Pictures(docs);
        line("%s", BEGIN);
        line("`%s`: %s.", figures.command(), figures.machine());
        line("Each comparison was made in %d rounds, those that read a file in %d, both sides in turn; medians, and of the ratios",
                section("c").get(0).values().size(), section("sequential").get(0).values().size());
        line("the smallest and the largest.");
        for (String each : figures.leftOut()) {
            line("Not measured: %s.", each);
        }
        comparisons("c", "Java beside the same in C", "Java", "C", true);
        comparisons("alternatives", "The inline engine beside other ways to have a page", "Java", "other", false);
        comparisons("threads", "Two threads beside one, in the same region", "two", "one", false);
        latencies(pictures.latency(latencies));
        comparisons("sequential", "Reading 1 GiB of the page cache from end to end", "way", "other", false);
        line("%n![Throughput](%s)", pictures.throughput(figures));
        comparisons("random", "Reading one long of each page, or of some, in random order", "way", "other", false);
        comparisons("first byte", "Time to the first byte", "way", "other", false);
        resident();
        calls();
        line("%s", END);
        return text.toString();
    }

    /**
     * Writes the document.
     *
     * @param arguments the directory of the results, the document
     */
    public static void main(String[] arguments) throws IOException {
        Path document = Path.of(arguments[1]);
        String before = Files.readString(document);
        int begin = before.indexOf(BEGIN);
        int end = before.indexOf(END);
        if (begin < 0 || end < begin) {
            throw new IOException(document + " lacks the two lines between which the figures go: " + BEGIN + " and " + END);
        }
        String figures = new Report(Path.of(arguments[0])).write(document.toAbsolutePath().getParent());
        Files.writeString(document, before.substring(0, begin) + figures + before.substring(end + END.length() + 1));
    }
}
