// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import net.jpountz.lz4.LZ4FrameOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The {@code firecracker} command in a JVM of its own: where its memory comes from, when it ends, and with what exit code. */
@Timeout(300)
class FirecrackerCommandTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 200;
    private static final int VERSION = 12;
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FAILED = 1;
    private static final int TERMINATED = 128 + 15;

    @TempDir
    private Path directory;
    private Path socket;
    private Path output;
    private Process command;

    @BeforeEach
    void needs() {
        Needs.root();
        socket = directory.resolve("s");
        output = directory.resolve("output");
    }

    @AfterEach
    void end() throws InterruptedException {
        if (command != null) {
            command.destroyForcibly().waitFor();
        }
    }

    private String said() {
        try {
            return Files.readString(output);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void start(Object memory, String... more) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("firecracker", "--socket", socket.toString(), "--memory",
                memory.toString()));
        arguments.addAll(List.of(more));
        command = new ProcessBuilder(new ChildJvm().command(Main.class.getName(), arguments.toArray(new String[0])))
                .redirectErrorStream(true).redirectOutput(output.toFile()).start();
        Soon.assertTrue(() -> said().contains("listening at " + socket) || !command.isAlive(), this::said);
        assertTrue(command.isAlive(), this::said);
    }

    private void assertEnds(int exit) throws InterruptedException {
        assertTrue(command.waitFor(DEADLINE.toMillis() * ChildJvm.PATIENCE, TimeUnit.MILLISECONDS), this::said);
        assertEquals(exit, command.exitValue(), this::said);
        assertFalse(Files.exists(socket));
    }

    /** {@return what it said about a restore that went well} */
    private String once(Object memory, String... more) throws Exception {
        List<String> options = new ArrayList<>(List.of(more));
        options.add("--once");
        start(memory, options.toArray(new String[0]));
        FakeFirecracker.assertRight(socket, VERSION, PAGE, PAGES, "late");
        assertEnds(0);
        assertTrue(said().contains("ended: "), this::said);
        return said();
    }

    private Path memory() throws IOException {
        return FakeFirecracker.memory(directory, PAGE, PAGES);
    }

    @Test
    void withATrace() throws Exception {
        Path file = memory();
        Path trace = directory.resolve("trace");
        String recording = once(file, "--record", trace.toString());
        assertTrue(recording.contains("runs"), recording);
        assertTrue(TouchTrace.read(trace).bytes() > PAGES * PAGE);
        String replaying = once(file, "--prefetch", trace.toString());
        assertTrue(replaying.contains("prefetch of TouchTrace"), replaying);
        assertFalse(replaying.contains(" 0 of them ahead"), replaying);
    }

    private void assertServes(Object memory, long size) throws Exception {
        String said = once(memory);
        assertTrue(said.contains("memory from " + memory + ", " + size + " bytes"), said);
    }

    @Test
    void compressedMemory() throws Exception {
        Path file = memory();
        Path compressed = directory.resolve("memory.zst");
        assertEquals(0, new ChildJvm().run(DEADLINE, Main.class, "compress", file.toString(), compressed.toString(), "1")
                .assertExit(0).output().indexOf(compressed + ": "));
        assertServes(compressed, Files.size(file));
        Path lz4 = directory.resolve("memory.lz4");
        try (OutputStream out = new LZ4FrameOutputStream(Files.newOutputStream(lz4), LZ4FrameOutputStream.BLOCKSIZE.SIZE_64KB)) {
            Files.copy(file, out);
        }
        assertServes(lz4, Files.size(file));
    }

    @Test
    void memoryFromAServer() throws Exception {
        byte[] content = Files.readAllBytes(memory());
        try (RangeServer server = new RangeServer(content)) {
            assertServes(server.uri(), content.length);
        }
    }

    /** A microVM that misses pages could only freeze without the handler: it is ended with it. */
    @Test
    void microVmsOneAfterTheOtherUntilSigterm() throws Exception {
        start(memory());
        FakeFirecracker.assertRight(socket, VERSION, PAGE, PAGES);
        FakeFirecracker.assertRight(socket, VERSION, PAGE, PAGES);
        Soon.assertEquals(2, () -> said().lines().filter(each -> each.contains(" ended: ")).count(), "microVMs that ended");
        Process vm = FakeFirecracker.startWithMissingPages(socket, PAGES);
        try {
            assertTrue(command.isAlive(), this::said);
            command.destroy();
            FakeFirecracker.assertEnded(vm);
            assertEnds(TERMINATED);
            assertEquals(3, said().lines().filter(each -> each.matches(".* (ended|not served any more): .*")).count(), this::said);
        } finally {
            vm.destroyForcibly().waitFor();
        }
    }

    @Test
    void aFileThatIsCutShort() throws Exception {
        Path file = memory();
        start(file, "--once");
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(10 * PAGE);
        }
        FakeFirecracker.assertKilled(socket, PAGES);
        assertEnds(FAILED);
        assertTrue(said().contains(file + " has become shorter: nothing at offset "), this::said);
        assertFalse(said().contains(" 0 failed"), this::said);
    }

    @Test
    void aFileThatIsNotThere() throws Exception {
        ChildJvm.Result result = new ChildJvm().run(DEADLINE, Main.class, "firecracker", "--socket", socket.toString(),
                "--memory", directory.resolve("none").toString());
        assertEquals("userfaultfd: firecracker: java.nio.file.NoSuchFileException: " + directory.resolve("none") + "\n",
                result.assertExit(FAILED).output());
        assertFalse(Files.exists(socket));
    }
}
