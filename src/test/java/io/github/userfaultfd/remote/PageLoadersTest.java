// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
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
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
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
            assertInterrupted(loader);
            for (int i = 0; i < 2; i++) {
                String message = assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)))
                        .getMessage();
                assertTrue(message.startsWith(file + " was replaced or changed"), message);
            }
            Files.move(first, file, StandardCopyOption.REPLACE_EXISTING);
            assertLoads(loader, 4096, 4096);
            Files.setLastModifiedTime(file, FileTime.fromMillis(1));
            assertLoads(loader, 4096, 4096);
            assertInterrupted(loader);
            assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
        }
    }

    /** Answers as its mode says. */
    private final class Server implements AutoCloseable {
        private final HttpServer server;
        private final ExecutorService threads = Executors.newCachedThreadPool();
        private volatile String mode = "good";

        Server() throws IOException {
            server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.setExecutor(threads);
            server.createContext("/", this::answer);
            server.start();
        }

        URI uri() {
            return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/memory");
        }

        private void answer(HttpExchange exchange) throws IOException {
            try (exchange) {
                String[] range = exchange.getRequestHeaders().getFirst("Range").replace("bytes=", "").split("-");
                int from = Integer.parseInt(range[0]);
                int to = Integer.parseInt(range[1]);
                String version = mode.contains("changed") ? "two" : "one";
                if (!mode.contains("undated")) {
                    exchange.getResponseHeaders().set(mode.contains("untagged") ? "Last-Modified" : "ETag", version);
                }
                if (!mode.equals("unknown length")) {
                    exchange.getResponseHeaders().set("Content-Range", switch (mode) {
                        case "negative length" -> "bytes " + from + "-" + to + "/-5";
                        case "no length" -> "bytes " + from + "-" + to + "/*";
                        case "empty" -> "bytes " + from + "-" + to + "/0";
                        case "longer untagged undated" -> "bytes " + from + "-" + to + "/" + (SIZE + 1);
                        case "elsewhere" -> "bytes " + (from + 1) + "-" + (to + 1) + "/" + SIZE;
                        default -> "bytes " + from + "-" + to + "/" + SIZE;
                    });
                }
                byte[] part = Arrays.copyOfRange(content, from, mode.equals("short") ? to : to + 1);
                if (mode.equals("silent")) {
                    try {
                        Thread.sleep(Long.MAX_VALUE);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }
                exchange.sendResponseHeaders(mode.equals("whole") ? 200 : mode.equals("gone") ? 404 : 206, part.length);
                exchange.getResponseBody().write(part);
            }
        }

        @Override
        public void close() {
            server.stop(0);
            threads.shutdownNow();
        }
    }

    @Test
    void httpRanges() throws Exception {
        try (Server server = new Server()) {
            PageLoader loader = PageLoaders.http(server.uri(), TIMEOUT);
            assertEquals(SIZE, loader.size());
            assertLoads(loader, 0, 4096);
            assertLoads(loader, 4096, 65536);
            assertLoads(loader, SIZE / 4096 * 4096, 4096);
            assertLoads(loader, SIZE + 4096, 4096);
            for (String[] each : new String[][] {{"short", "4095 bytes instead of 4096"}, {"changed", "has changed"},
                {"gone", "status 404"}, {"whole", "status 200"}, {"untagged", "has changed"},
                {"elsewhere", "Content-Range is 'bytes 1-4096/" + SIZE + "' instead of 'bytes 0-4095/"},
                {"unknown length", "Content-Range is ''"}}) {
                server.mode = each[0];
                IOException e = assertThrows(IOException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
                assertTrue(e.getMessage().contains(each[1]), e.getMessage());
            }
            server.mode = "good";
            assertLoads(loader, 0, 4096);
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
        try (Server server = new Server()) {
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
