// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.conformance.ScenarioReport.Outcome;
import io.github.userfaultfd.conformance.ScenarioReport.Row;
import io.github.userfaultfd.support.Needs;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.ClassOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;

/**
 * Runs last of all classes ({@link ClassOrderer.OrderAnnotation}, set in junit-platform.properties): prints the table of
 * scenarios and kinds of memory, and fails if a scenario was skipped as a whole or a constant was never used.
 */
@Order(Integer.MAX_VALUE)
class ConformanceResultTest {
    /** The kernel's own tests, and what this project has beyond them. One that is missing in the results never ran. */
    private static final List<String> SCENARIOS = List.of("api", "register-ioctls", "zeropage", "move", "move-pmd",
            "move-pmd-split", "wp-fork", "wp-fork-with-event", "wp-fork-pin", "wp-fork-pin-with-event", "wp-unpopulated",
            "minor", "minor-wp", "minor-collapse", "sigbus", "sigbus-wp", "events", "events-wp", "poison", "mmap-changing",
            "wp-mremap", "rwp", "stress", "errors", "partial results", "fork event", "other kernels",
            "behaviour: events", "behaviour: memory",
            "behaviour: systems");

    /** The modes that the kernel's header has for each ioctl. */
    private static final Map<Ioctl, Set<ResolveMode>> MODES = new EnumMap<>(Map.of(
            Ioctl.COPY, EnumSet.of(ResolveMode.DONT_WAKE, ResolveMode.WRITE_PROTECT),
            Ioctl.ZEROPAGE, EnumSet.of(ResolveMode.DONT_WAKE),
            Ioctl.MOVE, EnumSet.of(ResolveMode.DONT_WAKE, ResolveMode.ALLOW_SOURCE_HOLES),
            Ioctl.CONTINUE, EnumSet.of(ResolveMode.DONT_WAKE, ResolveMode.WRITE_PROTECT),
            Ioctl.POISON, EnumSet.of(ResolveMode.DONT_WAKE),
            Ioctl.WRITEPROTECT, EnumSet.of(ResolveMode.DONT_WAKE),
            Ioctl.RWPROTECT, EnumSet.of(ResolveMode.DONT_WAKE)));

    private static void needTheWholeSuite() {
        String chosen = System.getProperty("test");
        assumeTrue(chosen == null || chosen.contains("conformance/*Test"),
                () -> "only some tests were asked for: -Dtest=" + chosen);
    }

    @Test
    void everyScenarioRan() {
        Map<String, Row> rows = ScenarioReport.rows();
        print(rows);
        needTheWholeSuite();
        assertEquals(Set.copyOf(SCENARIOS), rows.keySet(), "the scenarios that ran");
        assumeTrue(Needs.mayFollowForks(), "scenarios with a fork event need CAP_SYS_PTRACE");
        List<String> skipped = new ArrayList<>();
        rows.forEach((name, row) -> {
            if (!row.passedSomewhere() && row.isPossibleHere()) {
                skipped.add(name + " " + row.reasons);
            }
        });
        assertEquals(List.of(), skipped, "scenarios of which nothing ran, though the kernel has what they need");
    }

    @Test
    void everyConstantIsUsed() {
        needTheWholeSuite();
        assumeTrue(Needs.mayFollowForks(), "tests of fork events and of huge pages need more rights");
        Set<Feature> features = EnumSet.allOf(Feature.class);
        Set<Ioctl> ioctls = EnumSet.allOf(Ioctl.class);
        Set<Feature> working = Needs.workingFeatures();
        Set<RegisterMode> modes = EnumSet.of(RegisterMode.MISSING);
        Set<ResolveMode> resolving = EnumSet.allOf(ResolveMode.class);
        if (working.contains(Feature.PAGEFAULT_FLAG_WP)) {
            modes.add(RegisterMode.WRITE_PROTECT);
        } else {
            resolving.remove(ResolveMode.WRITE_PROTECT);
            ioctls.remove(Ioctl.WRITEPROTECT);
        }
        if (working.contains(Feature.MINOR_SHMEM)) {
            modes.add(RegisterMode.MINOR);
        }
        if (working.contains(Feature.RWP)) {
            modes.add(RegisterMode.READ_WRITE_PROTECT);
        }
        if (!HugePages.areKnown()) {
            // The kernel says it has the features nevertheless.
            features.removeAll(EnumSet.of(Feature.MISSING_HUGETLBFS, Feature.MINOR_HUGETLBFS));
        }
        features.retainAll(union(List.of(working, Coverage.features())));
        ioctls.retainAll(union(List.of(Needs.system().ioctls(), Coverage.ioctls())));
        assertEquals(features, Coverage.features(), "features switched on by a test");
        assertEquals(ioctls, Coverage.ioctls(), "ioctls carried out in a test");
        assertEquals(modes, Coverage.registerModes(), "modes registered in a test");
        assertEquals(EnumSet.allOf(ResolveMode.class), union(MODES.values()), "modes that an ioctl has");
        MODES.forEach((ioctl, all) -> {
            if (ioctls.contains(ioctl)) {
                Set<ResolveMode> possible = EnumSet.copyOf(all);
                possible.retainAll(resolving);
                if (ioctl == Ioctl.CONTINUE && !Ability.CONTINUE_WRITE_PROTECTED.isThere()) {
                    possible.remove(ResolveMode.WRITE_PROTECT);
                }
                assertEquals(possible, Coverage.resolveModes(ioctl), () -> "modes of " + ioctl + " used in a test");
            }
        });
    }

    private static <T> Set<T> union(Collection<? extends Set<T>> sets) {
        return sets.stream().flatMap(Set::stream).collect(Collectors.toSet());
    }

    private static void print(Map<String, Row> rows) {
        StringBuilder table = new StringBuilder("\nConformance on Linux " + Needs.system().kernel() + ", "
                + System.getProperty("os.arch") + ", Java " + System.getProperty("java.version") + "\n");
        table.append(String.format("%-24s", "scenario"));
        for (MemoryKind kind : MemoryKind.values()) {
            table.append(String.format("%-16s", kind));
        }
        table.append("no memory\n");
        List<String> reasons = new ArrayList<>();
        Map<String, Row> others = new TreeMap<>(rows);
        List<String> names = Stream.concat(SCENARIOS.stream(), others.keySet().stream()).distinct()
                .filter(rows::containsKey).toList();
        for (String name : names) {
            Row row = rows.get(name);
            table.append(String.format("%-24s", name));
            for (MemoryKind kind : MemoryKind.values()) {
                table.append(String.format("%-16s", text(row.cells.get(kind))));
            }
            table.append(text(row.others)).append('\n');
            row.reasons.forEach(each -> reasons.add(name + ", " + each));
        }
        reasons.forEach(each -> table.append("skipped: ").append(each).append('\n'));
        System.out.println(table);
    }

    /** A point: the kernel's table does not have this kind of memory for the scenario. */
    private static String text(Outcome outcome) {
        return outcome == null ? "." : outcome.name().toLowerCase(Locale.ROOT);
    }
}
