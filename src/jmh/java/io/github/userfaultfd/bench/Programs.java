// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Other programs that print one number each. */
final class Programs {
    private Programs() {}

    /** Nanoseconds a page of the C program {@code bench_faults}. */
    static double faultsInC(Path program, String engine, Memory memory, int around, int threads, int pages)
            throws Exception {
        return number(List.of(program.toString(), engine, memory.inC(), Integer.toString(around), Integer.toString(threads),
                Integer.toString(pages)));
    }

    /** What a main class of this jar prints in a JVM of its own. */
    static double java(Class<?> main, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx2g", "-XX:MaxDirectMemorySize=2g", "-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(Arrays.asList(arguments));
        return number(command);
    }

    private static double number(List<String> command) throws Exception {
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        if (!process.waitFor(5, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new IOException("did not end: " + command);
        }
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        if (process.exitValue() != 0) {
            throw new IOException("exit code " + process.exitValue() + ": " + command + " " + text);
        }
        return Double.parseDouble(text);
    }
}
