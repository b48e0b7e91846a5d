// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Snapshots under full write load, in JVMs of their own. */
class SnapshotChildTest {
    private static final Duration DEADLINE = Duration.ofSeconds(120);

    @BeforeEach
    void needsTheKernel() {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP, Feature.WP_HUGETLBFS_SHMEM);
    }

    @ParameterizedTest
    @ValueSource(strings = {"anonymous", "shared", "paged"})
    void aThousandImages(String kind) throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx256m").run(DEADLINE, SnapshotStorm.class, kind, "1000", "false");
        assertTrue(result.assertExit(0).output().contains("done 1000"), result.output());
    }

    @ParameterizedTest(name = "{0} JDK, {1}")
    @CsvSource({"own, Serial", "own, Parallel", "own, G1", "own, Z", "own, Shenandoah",
        "newer, Serial", "newer, Parallel", "newer, G1", "newer, Z", "newer, Shenandoah"})
    void underEachCollector(String jdk, String collector) throws Exception {
        Path java = jdk.equals("own") ? ChildJvm.java() : Needs.newerJava();
        assumeFalse(jdk.equals("newer") && java.equals(ChildJvm.java()), "the tests run on the newer JDK already");
        String option = "-XX:+Use" + collector + "GC";
        assumeFalse(ChildJvm.run(DEADLINE, List.of(java.toString(), option, "-version")).exit() != 0,
                java + " has no collector " + collector);
        ChildJvm.Result result = new ChildJvm().java(java).options(option, "-Xmx256m")
                .run(DEADLINE, SnapshotStorm.class, "anonymous", "100", "true");
        assertTrue(result.assertExit(0).output().contains("done 100"), result.output());
    }

    /** Pages brought, saved and taken away at once, with garbage collected in a loop. */
    @ParameterizedTest
    @ValueSource(strings = {"shared", "paged"})
    void disturbed(String kind) throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx256m").run(DEADLINE, SnapshotStorm.class, kind, "200", "true");
        assertTrue(result.assertExit(0).output().contains("done 200"), result.output());
    }
}
