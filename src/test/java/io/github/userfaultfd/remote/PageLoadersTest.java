// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.EOFException;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Loaders by themselves: the right bytes, and an exception whenever these cannot be had. */
@Timeout(60)
class PageLoadersTest {
    private static final int SIZE = 100_000;
    private static final Duration TIMEOUT = Duration.ofSeconds(40);
    private static final Duration SHORT = Duration.ofSeconds(2);

    @TempDir
    private Path directory;
    private Path file;
    private byte[] content;

    /** Before JDK 21 a client's descriptors are open until the collector finds it, and other tests of this JVM count descriptors. */
    @AfterAll
    static void clientsEnd() {
        Soon.assertTrue(() -> {
            System.gc();
            return Thread.getAllStackTraces().keySet().stream().noneMatch(each -> each.getName().startsWith("HttpClient"));
        }, () -> "an HTTP client is there still");
    }

    @BeforeEach
    void makeFile() throws IOException {
        content = new byte[SIZE];
        new Random(3).nextBytes(content);
        file = Files.write(directory.resolve("memory"), content);
    }

    private void assertLoads(PageLoader loader, long offset, int length) throws IOException {
        ByteBuffer page = ByteBuffer.allocateDirect(length);
        loader.load(offset, page);
        assertEquals(length, page.position());
        byte[] found = new byte[length];
        page.flip().get(found);
        // Behind the end there are zeros.
        assertArrayEquals(Arrays.copyOfRange(Arrays.copyOf(content, SIZE + 100_000), (int) offset, (int) offset
                + length), found);
    }

    @Test
    void aFile() throws Exception {
        PageLoaders.Closeable loader = PageLoaders.file(file);
        assertEquals(SIZE, loader.size());
        assertTrue(loader.runBytes() >= 4096);
        assertLoads(loader, 0, 4096);
        assertLoads(loader, 5000, 70_000);
        assertLoads(loader, SIZE / 4096 * 4096, 4096);
        assertLoads(loader, SIZE + 4096, 4096);
        // An interrupted load fails, and closes the channel for all: the next one opens it again.
        assertInterrupted(loader);
        assertLoads(loader, 4096, 4096);
        Files.write(file, new byte[10]);
        assertThrows(EOFException.class, () -> loader.load(4096, ByteBuffer.allocateDirect(4096)));
        loader.close();
        assertThrows(ClosedChannelException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
        assertThrows(IOException.class, () -> PageLoaders.file(directory.resolve("none")));
    }

    private static void assertInterrupted(PageLoader loader) {
        Thread.currentThread().interrupt();
        assertThrows(ClosedByInterruptException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
        assertTrue(Thread.interrupted());
    }

    @Test
    void anotherFileUnderTheSameNameIsNotRead() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.file(file)) {
            Path other = Files.write(directory.resolve("other"), new byte[SIZE]);
            Files.setLastModifiedTime(other, Files.getLastModifiedTime(file));
            Path first = Files.move(file, directory.resolve("first"));
            Files.move(other, file);
            assertLoads(loader, 4096, 4096);
            // It is opened again all the same, even without any name.
            assertInterrupted(loader);
            assertLoads(loader, 8192, 4096);
            Files.createLink(directory.resolve("second"), first);
            Files.delete(first);
            assertInterrupted(loader);
            assertLoads(loader, 4096, 4096);
            Files.setLastModifiedTime(directory.resolve("second"), FileTime.fromMillis(1));
            assertLoads(loader, 4096, 4096);
            assertInterrupted(loader);
            for (int i = 0; i < 2; i++) {
                String message = assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)))
                        .getMessage();
                assertTrue(message.startsWith(file + " was replaced or changed"), message);
            }
        }
    }

    @Test
    void httpRanges() throws Exception {
        try (RangeServer server = new RangeServer(content);
                PageLoaders.Closeable loader = PageLoaders.http(server.uri(), TIMEOUT)) {
            assertEquals(SIZE, loader.size());
            assertLoads(loader, 0, 4096);
            assertLoads(loader, 4096, 65536);
            assertLoads(loader, SIZE / 4096 * 4096, 4096);
            assertLoads(loader, SIZE + 4096, 4096);
            for (String[] each : new String[][] {{"short", "sends only 4095"}, {"changed", "has changed"},
                {"gone", "status 404"}, {"whole", "status 200"}, {"untagged", "has changed"},
                {"elsewhere", "Content-Range is 'bytes 1-4096/" + SIZE + "' instead of 'bytes 0-4095/"},
                {"unknown length", "Content-Range is ''"}}) {
                server.mode = each[0];
                IOException e = assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
                assertTrue(e.getMessage().contains(each[1]), e.getMessage());
            }
            server.mode = "everything";
            for (Executable each : new Executable[] {() -> loader.load(0, ByteBuffer.allocateDirect(4096)),
                () -> PageLoaders.http(server.uri(), TIMEOUT)}) {
                IOException e = assertThrows(IOException.class, each);
                assertTrue(e.getMessage().contains("status 200"), e.getMessage());
            }
            assertTrue(server.sent < 64 << 20, server.sent + " bytes");
            server.mode = "good";
            assertLoads(loader, 0, 4096);
            PageLoader patient = PageLoaders.http(server.uri(), SHORT.multipliedBy(5));
            server.mode = "stalled";
            IOException stalled = assertThrows(IOException.class, () -> patient.load(0, ByteBuffer.allocateDirect(4096)));
            assertTrue(stalled.getMessage().contains("2048 of them and then nothing"), stalled.getMessage());
            for (boolean silent = false; !silent;) {
                // On a busy machine even a good answer may come too late for it.
                try {
                    server.mode = "good";
                    PageLoader hasty = PageLoaders.http(server.uri(), SHORT);
                    server.mode = "silent";
                    IOException e = assertThrows(IOException.class, () -> hasty.load(0, ByteBuffer.allocateDirect(4096)));
                    assertTrue(e.getMessage().contains("timed out"), e.getMessage());
                    silent = true;
                } catch (HttpTimeoutException e) {
                    continue;
                }
            }
            for (String each : new String[] {"unknown length", "negative length", "no length", "empty", "elsewhere"}) {
                server.mode = each;
                String message = assertThrows(IOException.class, () -> PageLoaders.http(server.uri(), TIMEOUT)).getMessage();
                assertTrue(message.contains("does not tell the length"), message);
            }
        }
    }

    @Test
    void httpWithoutTags() throws Exception {
        try (RangeServer server = new RangeServer(content)) {
            for (String[] each : new String[][] {{"untagged", "untagged changed"},
                {"untagged undated", "longer untagged undated"}}) {
                server.mode = each[0];
                PageLoader loader = PageLoaders.http(server.uri(), TIMEOUT);
                assertLoads(loader, 4096, 65536);
                server.mode = each[1];
                String message = assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)))
                        .getMessage();
                assertTrue(message.contains("has changed"), message);
            }
        }
    }
}
