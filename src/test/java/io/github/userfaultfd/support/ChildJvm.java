// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * A JVM of its own for whatever may hang or die, ended by SIGKILL after a deadline: a JVM in a safepoint deadlock does not
 * answer SIGTERM.
 */
public final class ChildJvm {
    /** How many times longer everything may take here than on a quiet machine, {@code -Dtest.patience}: emulated processors. */
    public static final int PATIENCE = Integer.getInteger("test.patience", 1);

    /** Rounds of what is repeated to meet rare moments: so many on a real processor, fewer on an emulated one. */
    public static int rounds(int many) {
        return Math.max(1, many / PATIENCE);
    }

    private final List<String> prefix = new ArrayList<>();
    private final List<String> options = new ArrayList<>();
    private Path command = java();
    private String classPath = classes() + ":" + testClasses() + ":" + root().resolve("target/lib") + "/*";

    /** How it ended. */
    public record Result(int exit, boolean killed, Duration time, String output) {
        public Result assertExit(int expected) {
            assertFalse(killed, () -> "killed after the deadline: " + output);
            assertEquals(expected, exit, output);
            return this;
        }
    }

    public static Path root() {
        return Path.of(System.getProperty("project.root"));
    }

    public static Path classes() {
        return root().resolve("target/classes");
    }

    public static Path testClasses() {
        return root().resolve("target/test-classes");
    }

    /** The native library of the tests, {@code src/test/c/test_*.c}, for programs of child JVMs too. */
    public static Path testLibrary() {
        return root().resolve("target/test-native/libtest_faults.so");
    }

    public static Path java() {
        return Path.of(System.getProperty("test.jvm"));
    }

    public ChildJvm java(Path command) {
        this.command = command;
        return this;
    }

    public ChildJvm classPath(String path) {
        classPath = path;
        return this;
    }

    /** JVM options in addition to those that every child has. */
    public ChildJvm options(String... more) {
        options.addAll(List.of(more));
        return this;
    }

    /** A command that the JVM is started by, such as setpriv with its options. */
    public ChildJvm startedBy(String... command) {
        prefix.addAll(List.of(command));
        return this;
    }

    /** Whether the JVM is one that warns of native code, unless it is allowed (JDK 22 and newer). */
    private boolean isNewer() {
        return Runtime.version().feature() >= Needs.FOREIGN_MEMORY_API || !command.equals(java());
    }

    public List<String> command(String mainClass, String... arguments) {
        List<String> line = new ArrayList<>(prefix);
        line.add(command.toString());
        if (isNewer() && options.stream().noneMatch(each -> each.contains("native-access"))) {
            line.add("--enable-native-access=ALL-UNNAMED");
        }
        line.addAll(options);
        line.addAll(List.of("-cp", classPath, mainClass));
        line.addAll(List.of(arguments));
        return line;
    }

    public Result run(Duration deadline, Class<?> main, String... arguments) throws Exception {
        return run(deadline, main.getName(), arguments);
    }

    public Result run(Duration deadline, String mainClass, String... arguments) throws Exception {
        return run(deadline, command(mainClass, arguments));
    }

    /** Whether it ended by itself; if not, it is killed together with what it started. */
    static boolean endsInTime(Process process, Duration deadline) throws InterruptedException {
        try {
            return process.waitFor(deadline.toMillis() * PATIENCE, TimeUnit.MILLISECONDS);
        } finally {
            if (process.isAlive()) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly().onExit().join();
            }
        }
    }

    /** The next line of a process that runs on; SIGKILL after the deadline ends the wait, and the answer is null. */
    public static String readLine(Duration deadline, Process process) throws IOException {
        CompletableFuture<Void> end = CompletableFuture.runAsync(process::destroyForcibly,
                CompletableFuture.delayedExecutor(deadline.toMillis() * PATIENCE, TimeUnit.MILLISECONDS));
        try {
            return process.inputReader(StandardCharsets.UTF_8).readLine();
        } finally {
            end.cancel(false);
        }
    }

    public static Result run(Duration deadline, List<String> command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("child", ".out");
        try {
            long start = System.nanoTime();
            Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile()).start();
            process.getOutputStream().close();
            boolean killed = !endsInTime(process, deadline);
            Duration time = Duration.ofNanos(System.nanoTime() - start);
            return new Result(process.exitValue(), killed, time,
                    new String(Files.readAllBytes(output), StandardCharsets.UTF_8));
        } finally {
            Files.delete(output);
        }
    }
}
