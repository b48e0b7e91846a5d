// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Output;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code java -jar}, as a person starts it. */
class JarTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    /** Read in more than one piece. */
    private static final int FILE_BYTES = 20_000_000;

    @TempDir
    Path scratch;

    private Path file;
    private String sum;

    @BeforeEach
    void file() throws Exception {
        byte[] content = new byte[FILE_BYTES];
        new Random(3).nextBytes(content);
        file = Files.write(scratch.resolve("file"), content);
        sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    private static List<String> command(Path java, String... arguments) throws Exception {
        try (Stream<Path> target = Files.list(ChildJvm.root().resolve("target"))) {
            List<Path> jars = target.filter(each -> each.getFileName().toString().matches("userfaultfd-[0-9.]+(-\\w+)?\\.jar"))
                    .toList();
            assertEquals(1, jars.size(), () -> "'make jar' builds one jar: " + jars);
            List<String> command = new ArrayList<>(List.of(java.toString(), "-jar", jars.get(0).toString()));
            command.addAll(List.of(arguments));
            return command;
        }
    }

    private void assertRestoresSilently(Path java) throws Exception {
        Output output = Output.of(DEADLINE, command(java, "demo", file.toString()));
        assertEquals("", output.err());
        assertEquals(0, output.exit());
        assertTrue(output.out().endsWith("\nSHA-256 as the file's: " + sum + "\n"), output.out());
        assertFalse(output.out().contains("\r"), output.out());
    }

    @Test
    void theDemoSaysNothingButItsResultIntoAPipe() throws Exception {
        assertRestoresSilently(ChildJvm.java());
    }

    @Test
    void aNewerJdkDoesNotWarn() throws Exception {
        assertRestoresSilently(Needs.newerJava());
    }

    @Test
    void theDemoShowsItsProgressOnATerminal() throws Exception {
        Needs.command("script");
        Output output = Output.of(DEADLINE, List.of("script", "-qec",
                String.join(" ", command(ChildJvm.java(), "demo", file.toString())), "/dev/null"));
        assertEquals(0, output.exit(), output::toString);
        assertTrue(output.out().contains("\rSHA-256: 0 %\033[K"), output::toString);
        assertTrue(output.out().contains("\rreading the file: 100 %\033[K"), output::toString);
        assertTrue(output.out().endsWith("SHA-256 as the file's: " + sum + "\r\n"), output::toString);
        String report = output.out().substring(output.out().indexOf(file.toString()));
        assertFalse(report.contains(" %"), () -> "progress within the report: " + report);
        String before = output.out().substring(0, output.out().indexOf(file.toString()));
        assertTrue(before.endsWith("\r\033[K"), () -> "the progress line is wiped away: " + before);
    }

    @Test
    void theVersionIsThatOfTheJar() throws Exception {
        Output output = Output.of(DEADLINE, command(ChildJvm.java(), "version"));
        assertTrue(output.out().matches("userfaultfd \\d+\\.\\d+\\.\\d+\\S*\n"), output.out());
        String version = output.out().strip().replace("userfaultfd ", "");
        assertTrue(command(ChildJvm.java()).get(2).endsWith("/userfaultfd-" + version + ".jar"), version);
        assertEquals(new Output(0, output.out(), ""), output);
    }

    @Test
    void theExitCodesAreThoseOfTheCommands() throws Exception {
        assertEquals(new Output(1, "", "userfaultfd: demo: " + scratch + " is not a regular file\n"),
                Output.of(DEADLINE, command(ChildJvm.java(), "demo", scratch.toString())));
        assertEquals(2, Output.of(DEADLINE, command(ChildJvm.java())).exit());
    }

    /** A failure of loading is one line as well, not a stack trace of class initialization. */
    @Test
    void aLibraryThatCannotBeLoadedIsOneLine() throws Exception {
        List<String> command = command(ChildJvm.java(), "demo", file.toString());
        command.add(1, "-Duserfaultfd.library.path=" + scratch.resolve("missing.so"));
        assertEquals(new Output(1, "", "userfaultfd: demo: there is no file " + scratch.resolve("missing.so")
                + ", which -Duserfaultfd.library.path names\n"), Output.of(DEADLINE, command));
    }
}
