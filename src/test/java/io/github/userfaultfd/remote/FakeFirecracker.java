// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The C program that plays Firecracker, {@code fake_firecracker.c}, and the memory file that it expects. */
final class FakeFirecracker {
    private static final long PAGE = PageSize.system().bytes();
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int VERSION = 12;
    private static final int KILLED = 128 + 9;

    private FakeFirecracker() {}

    static List<String> command(Object... arguments) {
        Path program = ChildJvm.root().resolve("target/test-native/fake_firecracker");
        assertTrue(Files.exists(program), () -> program + " is not there; 'make test' builds it");
        List<String> command = new ArrayList<>(List.of(program.toString()));
        Arrays.stream(arguments).map(Object::toString).forEach(command::add);
        return command;
    }

    /** Each eight bytes tell where they are. */
    static Path memory(Path directory, long pageSize, int pages) throws IOException {
        Path file = directory.resolve("memory");
        ByteBuffer page = ByteBuffer.allocate((int) pageSize).order(ByteOrder.nativeOrder());
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            for (long at = 0; at < (2L * pages + 1) * pageSize; at += pageSize) {
                for (page.clear(); page.hasRemaining();) {
                    page.putLong((at + page.position()) * 0x9E3779B97F4A7C15L | 1);
                }
                channel.write(page.flip(), at);
            }
        }
        return file;
    }

    static void assertRight(Object... arguments) throws Exception {
        assertEquals("right\n", ChildJvm.run(DEADLINE, command(arguments)).assertExit(0).output());
    }

    /** Somebody else ends it by SIGKILL, before it has seen all of its memory. */
    static void assertKilled(Path socket, int pages) throws Exception {
        ChildJvm.run(DEADLINE, command(socket, VERSION, PAGE, pages)).assertExit(KILLED);
    }

    /** One that has touched a page and waits with the others missing. */
    static Process startWithMissingPages(Path socket, int pages) throws IOException {
        Process vm = new ProcessBuilder(command(socket, VERSION, PAGE, pages, "half")).start();
        String said = ChildJvm.readLine(DEADLINE, vm);
        if (!"half".equals(said)) {
            vm.destroyForcibly();
            fail("it said " + said);
        }
        return vm;
    }

    static void assertEnded(Process vm) throws InterruptedException {
        assertTrue(vm.waitFor(DEADLINE.toMillis() * ChildJvm.PATIENCE, TimeUnit.MILLISECONDS), "it was left alone");
        assertEquals(KILLED, vm.exitValue());
    }
}
