// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * What a child process said, with standard output and standard error apart, neither of them a terminal.
 *
 * @param exit its exit code
 * @param out standard output
 * @param err standard error
 */
public record Output(int exit, String out, String err) {
    /** Runs a command; it is ended by SIGKILL after the deadline. */
    public static Output of(Duration deadline, List<String> command) throws Exception {
        Path out = Files.createTempFile("child", ".out");
        Path err = Files.createTempFile("child", ".err");
        try {
            Process process = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
            process.getOutputStream().close();
            boolean ended = ChildJvm.endsInTime(process, deadline);
            Output output = new Output(process.exitValue(), Files.readString(out), Files.readString(err));
            assertTrue(ended, () -> "killed after the deadline: " + output);
            return output;
        } finally {
            Files.delete(out);
            Files.delete(err);
        }
    }
}
