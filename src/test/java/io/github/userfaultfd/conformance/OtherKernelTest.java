// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.support.ChildJvm;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers that this kernel does not give: a fake between the library and the kernel gives them, in a JVM of its own. */
@Scenario(value = "other kernels", features = {Feature.EVENT_REMOVE, Feature.MINOR_SHMEM})
class OtherKernelTest {
    private static final Path FAKE = ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so");

    @ParameterizedTest
    @ValueSource(strings = {"newer", "older", "broken", "lenient"})
    void fakedKernel(String which) throws Exception {
        ChildJvm.Result result = new ChildJvm()
                .startedBy("env", "LD_PRELOAD=" + FAKE, "TEST_KERNEL=" + which)
                .options("-Dproject.root=" + ChildJvm.root(), "-Dtest.jvm=" + ChildJvm.java())
                .classPath(System.getProperty("java.class.path"))
                .run(Duration.ofSeconds(30), OtherKernelMain.class, which)
                .assertExit(0);
        assertTrue(result.output().contains("done: " + which), result::output);
    }
}
