// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Watchdog;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Each collector, JDK and engine against each way of access, with transparent huge pages everywhere if that can be set. */
class AccessMatrixTest {
    private static final Path HUGE_PAGES = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");
    private static final Duration DEADLINE = Duration.ofSeconds(90);
    private static String hugePagesBefore;

    @TempDir
    private static Path compiled;

    @BeforeAll
    static void hugePagesAlways() throws Exception {
        if (Needs.isRoot() && Files.isWritable(HUGE_PAGES)) {
            hugePagesBefore = Files.readString(HUGE_PAGES).replaceAll("(?s).*\\[(\\w+)\\].*", "$1");
            Watchdog.restores(HUGE_PAGES.toString(), hugePagesBefore);
            Files.writeString(HUGE_PAGES, "always");
        } else {
            System.out.println("transparent huge pages are as they are here: only root can set them to always");
        }
    }

    @AfterAll
    static void hugePagesAsBefore() throws Exception {
        if (hugePagesBefore != null) {
            Files.writeString(HUGE_PAGES, hugePagesBefore);
            Watchdog.restores("", "");
        }
    }

    static List<Arguments> matrix() {
        List<Arguments> all = new ArrayList<>();
        for (String jdk : List.of("own", "newer")) {
            for (String collector : List.of("Serial", "Parallel", "G1", "Z", "Shenandoah")) {
                for (FaultEngine engine : List.of(FaultEngine.INLINE, FaultEngine.THREAD)) {
                    all.add(Arguments.of(jdk, collector, engine));
                }
            }
        }
        return all;
    }

    @ParameterizedTest(name = "{0} JDK, {1}, {2}")
    @MethodSource("matrix")
    void everyByteIsRight(String jdk, String collector, FaultEngine engine) throws Exception {
        Path java = jdk.equals("own") ? ChildJvm.java() : Needs.newerJava();
        assumeFalse(jdk.equals("newer") && java.equals(ChildJvm.java()), "the tests run on the newer JDK already");
        String option = "-XX:+Use" + collector + "GC";
        assumeFalse(ChildJvm.run(DEADLINE, List.of(java.toString(), option, "-version")).exit() != 0,
                java + " has no collector " + collector);
        ChildJvm child = new ChildJvm().java(java).options(option, "-Xmx128m", "-Djdk.virtualThreadScheduler.parallelism=2",
                "-Dproject.root=" + ChildJvm.root(), "-Dtest.jvm=" + java);
        if (hasSegments(java)) {
            compileSegmentAccess(java);
            child.options("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")
                    .classPath(compiled + ":" + ChildJvm.classes() + ":" + ChildJvm.testClasses() + ":"
                            + ChildJvm.root().resolve("target/lib") + "/*");
        }
        ChildJvm.Result result = child.run(DEADLINE, AccessStorm.class, engine.name()).assertExit(0);
        assertTrue(result.output().contains("wrong 0"), result.output());
        System.out.println(jdk + " JDK, " + collector + ", " + engine + ": " + result.output().strip() + ", "
                + result.time().toMillis() + " ms");
    }

    private static boolean hasSegments(Path java) {
        return !java.equals(ChildJvm.java()) || Runtime.version().feature() >= 22;
    }

    private static void compileSegmentAccess(Path java) throws Exception {
        if (!Files.exists(compiled.resolve("io"))) {
            ChildJvm.Result result = ChildJvm.run(DEADLINE, List.of(java.resolveSibling("javac").toString(), "-d",
                    compiled.toString(), "-cp", ChildJvm.classes() + ":" + ChildJvm.testClasses(),
                    ChildJvm.root().resolve("src/test/java25/SegmentAccess.java").toString()));
            assertEquals(0, result.exit(), result.output());
        }
    }
}
