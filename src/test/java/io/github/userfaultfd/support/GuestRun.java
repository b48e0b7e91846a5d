// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import io.github.userfaultfd.SystemSupport;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.ClassNameFilter;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs packages and classes of tests in a guest of the kernel matrix, where there is no Maven, and prints what a script can read. */
public final class GuestRun {
    private static final int STACK_LINES = 12;
    private static final int SLOW_MILLISECONDS = 4000;

    private GuestRun() {}

    /** Counts by class, and each failure as it happens; {@link SkipReasons} prints what was skipped. */
    private static final class Counts implements TestExecutionListener {
        private final Map<String, int[]> classes = new TreeMap<>();
        private final Map<String, Long> starts = new HashMap<>();
        private final int[] all = new int[3];

        private static String className(TestIdentifier test) {
            return test.getSource().map(source -> source instanceof MethodSource method ? method.getClassName()
                    : source instanceof ClassSource type ? type.getClassName() : source.toString()).orElse(test.getDisplayName());
        }

        private void count(TestIdentifier test, int column) {
            classes.computeIfAbsent(className(test), each -> new int[3])[column]++;
            all[column]++;
        }

        @Override
        public void executionStarted(TestIdentifier test) {
            starts.put(test.getUniqueId(), System.nanoTime());
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            long milliseconds = (System.nanoTime() - starts.get(test.getUniqueId())) / 1_000_000;
            if (test.getSource().orElse(null) instanceof ClassSource || milliseconds >= SLOW_MILLISECONDS) {
                System.out.printf("TIME %s %s %d ms%n", className(test), test.getDisplayName(), milliseconds);
            }
            if (result.getStatus() == TestExecutionResult.Status.FAILED) {
                count(test, 2);
                System.out.println("FAILED " + className(test) + " " + test.getDisplayName());
                result.getThrowable().ifPresent(GuestRun::print);
            } else if (test.isTest()) {
                count(test, result.getStatus() == TestExecutionResult.Status.SUCCESSFUL ? 0 : 1);
            }
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            count(test, 1);
        }
    }

    private static void print(Throwable failure) {
        System.out.println("  " + failure);
        Arrays.stream(failure.getStackTrace()).limit(STACK_LINES).forEach(each -> System.out.println("    at " + each));
        if (failure.getCause() != null) {
            print(failure.getCause());
        }
    }

    public static void main(String[] tests) {
        SystemSupport system = SystemSupport.probe();
        System.out.printf("SYSTEM kernel %s, JDK %s, page %d, features 0x%x%n", system.kernel(),
                Runtime.version().feature(), system.pageSize(), system.rawFeatures());
        // What Maven tells the tests: whether only some of them were asked for.
        if (Arrays.stream(tests).noneMatch(each -> each.endsWith(".conformance"))) {
            System.setProperty("test", String.join(",", tests));
        }
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(Arrays.stream(tests).map(each -> each.endsWith("Test")
                        ? DiscoverySelectors.selectClass(each) : DiscoverySelectors.selectPackage(each)).toList())
                .filters(ClassNameFilter.includeClassNamePatterns(".*Test"))
                // Which are those of real processors; a guest that hangs is ended by the matrix.
                .configurationParameter("junit.jupiter.execution.timeout.mode", "disabled")
                .build();
        Counts counts = new Counts();
        LauncherFactory.create().execute(request, counts);
        counts.classes.forEach((name, each) -> System.out.printf("CLASS %s passed %d skipped %d failed %d%n",
                name, each[0], each[1], each[2]));
        System.out.printf("RESULT passed %d skipped %d failed %d%n", counts.all[0], counts.all[1], counts.all[2]);
        System.exit(counts.all[2] == 0 && counts.all[0] > 0 ? 0 : 1);
    }
}
