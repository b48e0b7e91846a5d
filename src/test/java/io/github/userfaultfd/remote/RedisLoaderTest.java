// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.RedisClient;

/** Pages from a Redis server, a real one, which this test starts. */
@Timeout(120)
class RedisLoaderTest {
    private static final int PIECE = 10_000;
    private static final int SIZE = 7 * PIECE + 123;
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    @TempDir
    private Path directory;
    private Process process;
    private URI server;
    private final byte[] content = new byte[SIZE];

    @BeforeEach
    void startServer() throws Exception {
        Needs.command("redis-server");
        Path log = directory.resolve("log");
        int port = freePort();
        process = new ProcessBuilder("redis-server", "--port", Integer.toString(port), "--bind", "127.0.0.1", "--save", "", "--dir",
                directory.toString()).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        Soon.assertTrue(() -> said(log).contains("Ready to accept connections") || !process.isAlive(), () -> said(log));
        assertTrue(process.isAlive(), () -> said(log));
        server = URI.create("redis://127.0.0.1:" + port);
        new Random(5).nextBytes(content);
        store(client -> {
            client.hset("memory", Map.of("size", Integer.toString(SIZE), "piece", Integer.toString(PIECE)));
            for (int i = 0; i * PIECE < SIZE; i++) {
                client.set(key(i), Arrays.copyOfRange(content, i * PIECE, Math.min(SIZE, (i + 1) * PIECE)));
            }
        });
    }

    private static String said(Path log) {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One that nobody had a moment ago: Redis cannot choose by itself. */
    private static int freePort() throws IOException {
        try (java.net.ServerSocket socket = new java.net.ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    @AfterEach
    void endServer() throws Exception {
        if (process != null) {
            process.destroyForcibly().waitFor();
        }
    }

    private static byte[] key(int piece) {
        return ("memory:" + piece).getBytes(StandardCharsets.UTF_8);
    }

    private void store(java.util.function.Consumer<RedisClient> what) {
        try (RedisClient client = RedisClient.create(server)) {
            what.accept(client);
        }
    }

    private static byte[] load(PageLoader loader, long offset, int length) throws IOException {
        ByteBuffer page = ByteBuffer.allocateDirect(length);
        loader.load(offset, page);
        assertEquals(length, page.position());
        byte[] found = new byte[length];
        page.flip().get(found);
        return found;
    }

    @Test
    void piecesAndTheirParts() throws Exception {
        PageLoaders.Closeable loader = PageLoaders.redis(server, "memory", TIMEOUT);
        assertEquals(SIZE, loader.size());
        byte[] longer = Arrays.copyOf(content, SIZE + 50_000);
        for (int offset = 0; offset < SIZE + 8192; offset += 4096) {
            assertArrayEquals(Arrays.copyOfRange(longer, offset, offset + 4096), load(loader, offset, 4096));
        }
        assertArrayEquals(Arrays.copyOfRange(longer, 5, 45_005), load(loader, 5, 45_000));
        assertArrayEquals(Arrays.copyOfRange(longer, PIECE, 2 * PIECE), load(loader, PIECE, PIECE));
        loader.close();
        assertThrows(ClosedChannelException.class, () -> load(loader, 0, 1));
    }

    /** As a server that is started anew, or that closes what nobody used for a while, ends them. */
    @Test
    void connectionsThatTheServerClosedAreNoFailure() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.redis(server, "memory", TIMEOUT)) {
            for (int i = 0; i < 3; i++) {
                try (Crew readers = new Crew()) { // several connections
                    AtomicInteger loads = new AtomicInteger();
                    for (int thread = 0; thread < 4; thread++) {
                        readers.repeat(() -> {
                            load(loader, 0, PIECE);
                            loads.incrementAndGet();
                        });
                    }
                    Soon.assertTrue(() -> loads.get() > 100 || readers.hasFailed(), () -> loads + " loads");
                }
                assertEquals(0, new ProcessBuilder("redis-cli", "-p", Integer.toString(server.getPort()), "client", "kill", "type",
                        "normal").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor());
                assertArrayEquals(Arrays.copyOf(content, 100), load(loader, 0, 100));
            }
        }
    }

    @Test
    void aPasswordIsInNoMessage() {
        URI wrong = URI.create("redis://user:secret@redis_1:6379");
        String message = assertThrows(IllegalArgumentException.class, () -> PageLoaders.redis(wrong, "memory", TIMEOUT)).getMessage();
        assertTrue(message.startsWith("redis://redis_1:6379 is not redis://host:port"), message);
    }

    @Test
    void whatIsMissingOrWrongIsNamed() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.redis(server, "memory", TIMEOUT)) {
            store(client -> {
                client.del(key(1));
                client.set(key(2), new byte[77]);
                client.lpush("memory:3x", "a");
                client.rename("memory:3x", "memory:3");
            });
            String[][] expected = {{"1", ": was it evicted?"}, {"2", " instead of "},
                {"3", "WRONGTYPE"}};
            for (String[] each : expected) {
                long offset = Long.parseLong(each[0]) * PIECE;
                for (int length : new int[] {100, PIECE}) {
                    IOException e = assertThrows(IOException.class, () -> load(loader, offset + (length == 100 ? 500 : 0), length));
                    assertTrue(e.getMessage().contains("piece " + each[0]) && e.getMessage().contains(each[1]), e.getMessage());
                }
            }
            assertArrayEquals(Arrays.copyOf(content, 100), load(loader, 0, 100));
            process.destroyForcibly().waitFor();
            assertThrows(IOException.class, () -> load(loader, 0, 100));
        }
        assertThrows(IOException.class, () -> PageLoaders.redis(server, "memory", TIMEOUT));
    }

    @Test
    void aHashThatTellsNothingIsRefused() throws Exception {
        for (String[] each : new String[][] {{"none", "size of that hash is missing"}, {"a", "piece of that hash is missing"},
            {"b", "is 'x'"}, {"c", "is '0'"}, {"d", "not a number from 1 to 67108864"}, {"memory:0", "WRONGTYPE"}}) {
            store(client -> {
                client.hset("a", Map.of("size", "1"));
                client.hset("b", Map.of("size", "x", "piece", "1"));
                client.hset("c", Map.of("size", "1", "piece", "0"));
                client.hset("d", Map.of("size", "1", "piece", "99999999"));
            });
            IOException e = assertThrows(IOException.class, () -> PageLoaders.redis(server, each[0], TIMEOUT));
            assertTrue(e.getMessage().contains(each[1]), e.getMessage());
        }
        assertThrows(IllegalArgumentException.class, () -> PageLoaders.redis(URI.create("http://127.0.0.1:1"), "a", TIMEOUT));
    }
}
