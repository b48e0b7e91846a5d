// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.remote.PageLoaders;
import io.github.userfaultfd.support.Output;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The commands, their exit codes and where they write to. */
class MainTest {
    private static final int FAILED = 1;
    private static final int MISUSED = 2;
    private static final String USAGE = "usage: java -jar userfaultfd.jar COMMAND\n";

    @TempDir
    Path scratch;

    private static Output run(String... arguments) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int exit = Main.run(List.of(arguments), new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8));
        return new Output(exit, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"help", "--help", "-h"})
    void helpIsOutput(String command) {
        Output output = run(command);
        assertTrue(output.out().startsWith(USAGE), output::toString);
        for (String each : List.of("demo [FILE]", "help", "version")) {
            assertTrue(output.out().contains("\n  " + each + " "), output::toString);
        }
        assertEquals(new Output(0, output.out(), ""), output);
    }

    @Test
    void noCommandIsMisuse() {
        assertEquals(new Output(MISUSED, "", run("help").out()), run());
    }

    @Test
    void aReportThatCannotBeWrittenIsAFailure() {
        OutputStream full = new OutputStream() {
            @Override
            public void write(int each) throws IOException {
                throw new IOException("no room");
            }
        };
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        assertEquals(FAILED, Main.run(List.of("doctor"), new PrintStream(full, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8)));
        assertEquals("userfaultfd: doctor: the report could not be written\n", err.toString(StandardCharsets.UTF_8));
    }

    @Test
    void anUnknownCommandIsNamed() {
        assertEquals(new Output(MISUSED, "", "userfaultfd: no command frobnicate\n" + run("help").out()),
                run("frobnicate", "x"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"version", "--version"})
    void aVersionThatIsNotFromAJarSaysSo(String command) {
        assertEquals(new Output(0, "userfaultfd (not from a jar)\n", ""), run(command));
    }

    @Test
    void theDemoTakesOneFileAndNoOptions() {
        String usage = run("help").out();
        assertEquals(new Output(MISUSED, "", "userfaultfd: demo takes one FILE at most, not a b\n" + usage),
                run("demo", "a", "b"));
        assertEquals(new Output(MISUSED, "", "userfaultfd: demo takes one FILE at most, not --fast\n" + usage),
                run("demo", "--fast"));
    }

    @ParameterizedTest
    @CsvSource({
        "'--socket s --memory m --twice', firecracker has no option --twice",
        "'--socket s m', firecracker has no option m",
        "'--socket s --memory', --memory needs a value",
        "'--memory m --record', --record needs a value",
        "'--socket s --once', firecracker needs --socket and --memory",
        "'--memory m', firecracker needs --socket and --memory",
        "'', firecracker needs --socket and --memory"})
    void theHandlerOfMicroVmsNeedsASocketAndMemory(String arguments, String why) {
        List<String> line = new ArrayList<>(List.of("firecracker"));
        line.addAll(arguments.isEmpty() ? List.of() : List.of(arguments.split(" ")));
        assertEquals(new Output(MISUSED, "", "userfaultfd: " + why + "\n" + run("help").out()), run(line.toArray(new String[0])));
    }

    @Test
    void compressMakesAFileOfFrames() throws Exception {
        Path file = Files.write(scratch.resolve("file"), new byte[200_000]);
        Path compressed = scratch.resolve("file.zst");
        assertEquals(new Output(0, "", ""), withoutOutput(run("compress", file.toString(), compressed.toString())));
        assertEquals(new Output(0, "", ""), withoutOutput(run("compress", file.toString(), compressed.toString(), "-3")));
        try (PageLoaders.Closeable loader = PageLoaders.zstd(compressed)) {
            assertEquals(200_000, loader.size());
        }
        for (String[] each : new String[][] {{"compress"}, {"compress", "a"}, {"compress", "a", "b", "x"},
            {"compress", "a", "b", "1", "2"}}) {
            assertEquals(MISUSED, run(each).exit());
        }
        assertEquals(new Output(FAILED, "", "userfaultfd: compress: java.nio.file.NoSuchFileException: " + scratch.resolve("none")
                + "\n"), run("compress", scratch.resolve("none").toString(), "b"));
        assertEquals(FAILED, run("compress", file.toString(), compressed.toString(), "100").exit());
    }

    private static Output withoutOutput(Output output) {
        assertTrue(output.out().contains(" bytes of 200000\n"), output::toString);
        return new Output(output.exit(), "", output.err());
    }

    /** Around the sizes where the demo's reading changes: a long, a header, a page, a piece. */
    @ParameterizedTest
    @ValueSource(ints = {1, 7, 8, 27, 28, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9 << 20})
    void theDemoRestoresAFile(int bytes) throws Exception {
        byte[] content = new byte[bytes];
        new Random(bytes).nextBytes(content);
        Path file = Files.write(scratch.resolve("file"), content);
        Output output = run("demo", file.toString());
        String sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        assertTrue(output.out().startsWith(file + ", "), output::toString);
        assertTrue(output.out().endsWith("\nSHA-256 as the file's: " + sum + "\n"), output::toString);
        assertEquals(new Output(0, output.out(), ""), output);
    }

    @Test
    void theDemoRefusesAnEmptyFile() throws Exception {
        assertRefused(Files.createFile(scratch.resolve("empty")), "is empty");
    }

    @Test
    void theDemoRefusesADirectory() {
        assertRefused(scratch, "is not a regular file");
    }

    @Test
    void theDemoRefusesAMissingFile() {
        assertRefused(scratch.resolve("missing"), "does not exist");
    }

    private static void assertRefused(Path file, String why) {
        assertEquals(new Output(FAILED, "", "userfaultfd: demo: " + file + " " + why + "\n"), run("demo", file.toString()));
    }
}
