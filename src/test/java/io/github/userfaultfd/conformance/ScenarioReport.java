// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Watchdog;
import java.io.IOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestWatcher;

/** Gives each test a deadline, looks after what it left behind, and collects the table of scenarios and kinds of memory. */
final class ScenarioReport implements BeforeEachCallback, AfterEachCallback, AfterAllCallback, TestWatcher {
    private static final int DEADLINE_SECONDS = 60 * ChildJvm.PATIENCE + (int) StressTest.SECONDS;

    private static final Map<String, Row> ROWS = new LinkedHashMap<>();

    /** What became of a scenario with one kind of memory, the worst of its tests. */
    enum Outcome { SKIPPED, PASSED, FAILED }

    /** The results of one scenario. Tests without a kind of memory are in {@code others}. */
    static final class Row {
        final Set<Feature> features = new LinkedHashSet<>();
        final Set<Ability> abilities = new LinkedHashSet<>();
        final Map<MemoryKind, Outcome> cells = new EnumMap<>(MemoryKind.class);
        final Set<String> reasons = new LinkedHashSet<>();
        Outcome others;

        boolean passedSomewhere() {
            return cells.containsValue(Outcome.PASSED) || others == Outcome.PASSED;
        }

        boolean isPossibleHere() {
            return Needs.workingFeatures().containsAll(features) && abilities.stream().allMatch(Ability::isThere);
        }
    }

    static synchronized Map<String, Row> rows() {
        return new LinkedHashMap<>(ROWS);
    }

    private static Scenario scenario(ExtensionContext context) {
        return context.getRequiredTestClass().getAnnotation(Scenario.class);
    }

    private static Optional<MemoryKind> kind(ExtensionContext context) {
        for (MemoryKind each : MemoryKind.values()) {
            if (context.getDisplayName().equals(each.toString())) {
                return Optional.of(each);
            }
        }
        return Optional.empty();
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        Scenario scenario = scenario(context);
        Watchdog.watch(scenario.value() + ", " + context.getRequiredTestMethod().getName() + " " + context.getDisplayName(),
                DEADLINE_SECONDS);
        Needs.features(scenario.features());
        Arrays.stream(scenario.abilities()).forEach(Ability::need);
    }

    @Override
    public void afterEach(ExtensionContext context) throws InterruptedException {
        for (int i = 0; i < 2000 && Faults.running() > 0; i++) {
            Thread.sleep(1);
        }
        int running = Faults.running();
        Watchdog.watch("", 0);
        Faults.giveUp();
        assertEquals(0, running, "threads that the test started still run");
    }

    @Override
    public void afterAll(ExtensionContext context) throws IOException {
        HugePages.giveBack();
    }

    @Override
    public void testSuccessful(ExtensionContext context) {
        record(context, Outcome.PASSED, "");
    }

    @Override
    public void testFailed(ExtensionContext context, Throwable cause) {
        record(context, Outcome.FAILED, "");
    }

    @Override
    public void testAborted(ExtensionContext context, Throwable cause) {
        record(context, Outcome.SKIPPED, String.valueOf(cause.getMessage()).replaceFirst("^Assumption failed: ", ""));
    }

    private static synchronized void record(ExtensionContext context, Outcome outcome, String reason) {
        Scenario scenario = scenario(context);
        Row row = ROWS.computeIfAbsent(scenario.value(), name -> new Row());
        row.features.addAll(List.of(scenario.features()));
        row.abilities.addAll(List.of(scenario.abilities()));
        Optional<MemoryKind> kind = kind(context);
        if (kind.isPresent()) {
            row.cells.merge(kind.get(), outcome, ScenarioReport::worst);
        } else {
            row.others = row.others == null ? outcome : worst(row.others, outcome);
        }
        if (!reason.isEmpty()) {
            row.reasons.add(kind.map(each -> each + ": ").orElse(context.getRequiredTestMethod().getName() + ": ") + reason);
        }
    }

    /** A test that was skipped does not take away that another one of the scenario passed; its reason is listed. */
    private static Outcome worst(Outcome a, Outcome b) {
        return a.compareTo(b) >= 0 ? a : b;
    }
}
