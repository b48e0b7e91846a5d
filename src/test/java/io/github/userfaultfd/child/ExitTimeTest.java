// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A pager that is still running does not hold up the end of the JVM, as a Java thread in native code would. */
class ExitTimeTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final long ALLOWED_NANOS = 20_000_000;
    private static final int RUNS = 7;
    private static final int MEASUREMENTS = 3;
    private static final String NO_PAGER = "none";

    /** Ends with a pager that was never closed, or, for comparison, without any pager. */
    public static final class Ends {
        private static final int BYTES = 1 << 20;
        private static Pager pager;

        private Ends() {}

        public static void main(String[] arguments) throws Exception {
            MemoryRegion region = MemoryRegion.anonymous(BYTES);
            if (!arguments[0].equals(NO_PAGER)) {
                pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.valueOf(arguments[0])).start();
            }
            region.asByteBuffer(BYTES / 2, 1).get(0);
            boolean served = pager != null && pager.stats().faults() > 0;
            System.out.println("pager: " + served + " " + System.nanoTime());
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aRunningPagerDoesNotDelayTheExit(FaultEngine engine) throws Exception {
        if (engine == FaultEngine.INLINE) {
            Needs.features(Feature.SIGBUS);
        }
        List<String> measured = new ArrayList<>();
        // Several times, because other programs use the processors, too.
        for (int i = 0; i < MEASUREMENTS; i++) {
            List<Long> without = new ArrayList<>();
            List<Long> with = new ArrayList<>();
            for (int run = 0; run < RUNS; run++) {
                without.add(exitNanos(NO_PAGER));
                with.add(exitNanos(engine.name()));
            }
            long more = median(with) - median(without);
            if (more <= ALLOWED_NANOS) {
                return;
            }
            measured.add(more / 1000 + " us more than " + median(without) / 1000 + " us");
        }
        throw new AssertionError("the JVM takes longer to end with a pager: " + measured);
    }

    private static long median(List<Long> values) {
        return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
    }

    /** From the end of main to the end of the process, by the clock that all processes of a system share. */
    private static long exitNanos(String engine) throws Exception {
        Process process = new ProcessBuilder(new ChildJvm().command(Ends.class.getName(), engine))
                .redirectErrorStream(true).start();
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            CompletableFuture<Long> ended = process.onExit().thenApply(each -> System.nanoTime());
            assertTrue(process.waitFor(DEADLINE.toSeconds(), TimeUnit.SECONDS), "the JVM does not end");
            String line = reader.readLine();
            String expected = "pager: " + !engine.equals(NO_PAGER) + " ";
            assertTrue(line != null && line.startsWith(expected), () -> "'" + expected + "' is not in: " + line);
            assertEquals(0, process.exitValue(), line);
            return ended.get() - Long.parseLong(line.substring(expected.length()));
        } finally {
            process.destroyForcibly();
        }
    }
}
