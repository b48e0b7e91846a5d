// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Trees;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The library in several class loaders of one JVM and in several JVMs at once. */
class SharedLoadingTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FILE_BYTES = 1_000_003;
    private static final int JVMS = 32;
    private static final String EQUAL = "equal: true, by faults: true\n";
    private static final String NONE_LEFT = "class loaders left: 0\n";

    @TempDir
    Path scratch;

    private Path tmpdir;
    private Path file;

    @BeforeEach
    void files() throws Exception {
        tmpdir = Files.createDirectory(scratch.resolve("tmp"));
        byte[] bytes = new byte[FILE_BYTES];
        new Random(1).nextBytes(bytes);
        file = Files.write(scratch.resolve("file"), bytes);
    }

    /** With the jars written out: a class loader of the test's own does not know the JVM's {@code lib/*}. */
    private ChildJvm child() throws Exception {
        Path lib = ChildJvm.root().resolve("target/lib");
        try (Stream<Path> jars = Files.list(lib)) {
            return new ChildJvm().options("-Djava.io.tmpdir=" + tmpdir).classPath(
                    ChildJvm.classes() + ":" + ChildJvm.testClasses()
                            + jars.map(each -> ":" + each).collect(Collectors.joining()));
        }
    }

    /** With INLINE the handler of one copy of the library stands behind that of the other, and neither is lost. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void twoClassLoadersLoadAtTheSameTime(FaultEngine engine) throws Exception {
        if (engine == FaultEngine.INLINE) {
            Needs.features(Feature.SIGBUS);
        }
        String output = child().run(DEADLINE, TwoClassLoaders.class, file.toString(), engine.name()).assertExit(0).output();
        assertEquals(EQUAL.repeat(4) + "different classes: true\n", output);
        assertEquals(List.of(), Trees.names(tmpdir));
    }

    /** A process has some thirty real-time signals, and each copy needs one. */
    @Test
    void everyCopyCanEndACallThatWaits() throws Exception {
        int copies = 40;
        String output = child().run(DEADLINE, ManyClassLoaders.class, Integer.toString(copies), "false",
                CloseWhileReading.class.getName()).assertExit(0).output();
        assertEquals("java.nio.channels.AsynchronousCloseException\n".repeat(copies) + NONE_LEFT, output);
    }

    /** The flight recorder knows the library for as long as a pager is open. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aClassLoaderOfAnApplicationThatIsGoneIsCollected(boolean recorded) throws Exception {
        Needs.features(Feature.SIGBUS);
        int copies = 8;
        String output = child().run(DEADLINE, ManyClassLoaders.class, Integer.toString(copies), Boolean.toString(recorded),
                PagesFile.class.getName(), file.toString(), FaultEngine.INLINE.name()).assertExit(0).output();
        assertEquals(EQUAL.repeat(copies) + NONE_LEFT, output);
    }

    /** As in a native thread that blocks all signals and then attaches to the JVM. */
    @Test
    void aThreadThatBlocksSignalsCanBeEnded() throws Exception {
        Needs.command("env");
        assumeTrue(ChildJvm.run(DEADLINE, List.of("env", "--block-signal", "true")).exit() == 0, "env(1) cannot block signals");
        String output = child().startedBy("env", "--block-signal").run(DEADLINE, CloseWhileReading.class).assertExit(0).output();
        assertEquals("java.nio.channels.AsynchronousCloseException\n", output);
    }

    /** The JVM lets only one class loader have a file; the message has to say so, and the first one goes on. */
    @Test
    void aNamedFileBelongsToOneClassLoader() throws Exception {
        String output = child().options("-Duserfaultfd.library.path=" + ChildJvm.classes().resolve("natives/" + folder()))
                .run(DEADLINE, TwoClassLoaders.class, file.toString()).assertExit(0).output();
        assertTrue(output.contains(EQUAL), output);
        assertTrue(output.contains("failed: java.lang.UnsatisfiedLinkError: userfaultfd: cannot load "), output);
        assertTrue(output.contains("already loaded in another classloader"), output);
    }

    private static String folder() throws Exception {
        List<String> folders = Trees.names(ChildJvm.classes().resolve("natives"));
        assertEquals(1, folders.size(), folders::toString);
        return folders.get(0);
    }

    @Test
    void severalJvmsStartAtOnce() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(JVMS);
        List<Future<ChildJvm.Result>> runs = new ArrayList<>();
        for (int i = 0; i < JVMS; i++) {
            runs.add(threads.submit(() -> child().run(DEADLINE, PagesFile.class, file.toString())));
        }
        threads.shutdown();
        for (Future<ChildJvm.Result> each : runs) {
            assertEquals(EQUAL, each.get().assertExit(0).output());
        }
        assertEquals(List.of(), Trees.names(tmpdir));
    }

    /** A newer JDK warns about native access once, on standard error, and not with the option that the README names. */
    @Test
    void worksInANewerJdkAsAModule() throws Exception {
        String output = demoAsModule(0, "--enable-native-access=io.github.userfaultfd");
        assertTrue(output.contains("SHA-256 as the file's: "), output);
        assertFalse(output.contains("WARNING"), output);
    }

    private String demoAsModule(int exit, String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of(Needs.newerJava().toString(), "-Djava.io.tmpdir=" + tmpdir));
        command.addAll(List.of(options));
        command.addAll(List.of("-p", Trees.copy(ChildJvm.root().resolve("target/lib"), scratch.resolve("modules"), each -> true)
                + ":" + ChildJvm.classes(), "-m", "io.github.userfaultfd/io.github.userfaultfd.cli.Main", "demo", file.toString()));
        return ChildJvm.run(DEADLINE, command).assertExit(exit).output();
    }

    @Test
    void worksWithTheWarningOfANewerJdk() throws Exception {
        String output = demoAsModule(0);
        assertTrue(output.contains("SHA-256 as the file's: "), output);
        assertTrue(output.contains("--enable-native-access=io.github.userfaultfd"), output);
    }

    /** One line that names the option, not the stack trace of a class that could not be initialized. */
    @Test
    void aJvmThatDeniesNativeAccessIsNamed() throws Exception {
        String output = demoAsModule(1, "--illegal-native-access=deny");
        assertTrue(output.startsWith("userfaultfd: demo: this JVM was told to deny native code; allow it with "
                + "--enable-native-access=io.github.userfaultfd ("), output);
        assertEquals(1, output.lines().count(), output);
        assertEquals(List.of(), Trees.names(tmpdir));
    }
}
