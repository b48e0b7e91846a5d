// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Measures alternately, in several rounds, and keeps the ratio of each pair: absolute times on shared machines drift. */
final class Rounds {
    /** One measurement. */
    @FunctionalInterface
    interface Measurement {
        double run() throws Exception;
    }

    private final int rounds;
    private final List<Figures.Comparison> comparisons = new ArrayList<>();
    private final List<Figures.Single> singles = new ArrayList<>();

    Rounds(int rounds) {
        this.rounds = rounds;
    }

    List<Figures.Comparison> comparisons() {
        return comparisons;
    }

    List<Figures.Single> singles() {
        return singles;
    }

    /** Two sides in turn; {@code x} is where a picture has it, or 0. */
    Figures.Comparison compare(String section, String name, Measurement mine, String other, Measurement others, String unit,
            double x) throws Exception {
        List<Double> values = new ArrayList<>();
        List<Double> otherValues = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            values.add(mine.run());
            otherValues.add(others.run());
        }
        Figures.Comparison result = new Figures.Comparison(section, name, other, unit, x, values, otherValues);
        comparisons.add(result);
        double[] ratios = result.ratios();
        System.out.printf(Locale.ROOT, "%-38s %10.2f   %-38s %10.2f %-7s ratio %.3f (%.3f to %.3f)%n", name,
                Figures.median(values), other, Figures.median(otherValues), unit, result.ratio(), ratios[0], ratios[rounds - 1]);
        return result;
    }

    void measure(String section, String name, Measurement mine, String unit) throws Exception {
        List<Double> values = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            values.add(mine.run());
        }
        singles.add(new Figures.Single(section, name, unit, values));
        double[] sorted = values.stream().mapToDouble(each -> each).sorted().toArray();
        System.out.println(name + ": " + unit + " " + Arrays.toString(sorted));
    }
}
