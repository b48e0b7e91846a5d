// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * What one run measured besides JMH's own results; kept as JSON.
 *
 * @param machine where
 * @param command what made it
 * @param comparisons two sides each
 * @param singles one number each
 * @param leftOut what was not measured, and why
 */
record Figures(Machine machine, String command, List<Comparison> comparisons, List<Single> singles, List<String> leftOut) {
    private static final ObjectMapper MAPPER = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** Something measured in several rounds. */
    record Single(String section, String name, String unit, List<Double> values) {
        double median() {
            return Figures.median(values);
        }
    }

    /**
     * Two things measured alternately, round by round.
     *
     * @param x the number that a picture has on its axis, or 0
     */
    record Comparison(String section, String name, String other, String unit, double x, List<Double> values, List<Double> others) {
        double[] ratios() {
            double[] ratios = new double[values.size()];
            for (int i = 0; i < ratios.length; i++) {
                ratios[i] = values.get(i) / others.get(i);
            }
            Arrays.sort(ratios);
            return ratios;
        }

        double ratio() {
            return Figures.median(Arrays.stream(ratios()).boxed().toList());
        }
    }

    static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(each -> each).sorted().toArray();
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }

    void write(Path file) throws IOException {
        MAPPER.writeValue(file.toFile(), this);
    }

    static Figures read(Path file) throws IOException {
        return MAPPER.readValue(file.toFile(), Figures.class);
    }
}
