// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisException;

/** Pieces of the same size in a Redis server, and a hash that tells the size of all and of a piece. */
final class RedisLoader implements PageLoaders.Closeable {
    private static final int LARGEST_PIECE = 64 << 20;

    /** How many connections the client's pool keeps while nobody uses them. */
    private static final int MOST_IDLE = 8;

    private final RedisClient client;
    private final String name;
    private final String what;
    private final long size;
    private final int piece;
    private volatile boolean closed;

    RedisLoader(URI server, String name, Duration timeout) throws IOException {
        this.name = name;
        if (server.getHost() == null || !String.valueOf(server.getScheme()).matches("rediss?")) {
            // Without what may be a password.
            throw new IllegalArgumentException(server.getScheme() + "://" + String.valueOf(server.getRawAuthority()).replaceFirst(".*@", "")
                    + " is not redis://host:port or rediss://host:port (a host name has letters, digits and hyphens)");
        }
        HostAndPort address = new HostAndPort(server.getHost(), server.getPort() < 0 ? Protocol.DEFAULT_PORT : server.getPort());
        what = name + " at " + address;
        int millis = (int) Math.min(Integer.MAX_VALUE, Math.max(1, timeout.toMillis()));
        client = RedisClient.builder().clientConfig(DefaultJedisClientConfig.builder(server).connectionTimeoutMillis(millis)
                .socketTimeoutMillis(millis).build()).hostAndPort(address).build();
        try {
            Map<String, String> about = client.hgetAll(name);
            size = number(about, "size", Long.MAX_VALUE);
            piece = (int) number(about, "piece", LARGEST_PIECE);
        } catch (IOException e) {
            client.close();
            throw e;
        } catch (JedisException e) {
            client.close();
            throw new IOException(what + ": " + e.getMessage(), e);
        }
    }

    private long number(Map<String, String> about, String field, long most) throws IOException {
        String found = about.get(field);
        try {
            long number = Long.parseLong(String.valueOf(found));
            if (number > 0 && number <= most) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Told below, with what it is.
        }
        throw new IOException(what + ": the field " + field + " of that hash is " + (found == null ? "missing" : "'" + found + "'")
                + ", not a number from 1 to " + most);
    }

    @Override
    public void load(long offset, ByteBuffer page) throws IOException {
        if (closed) {
            throw new ClosedChannelException();
        }
        for (long at = offset; page.hasRemaining();) {
            int length = page.remaining();
            if (at >= size) {
                page.put(new byte[length]);
            } else {
                long index = at / piece;
                int from = (int) (at % piece);
                int there = (int) Math.min(piece, size - index * piece);
                length = Math.min(length, there - from);
                page.put(get(index, from, length, there));
            }
            at += length;
        }
    }

    private byte[] get(long index, int from, int length, int there) throws IOException {
        byte[] key = (name + ":" + index).getBytes(StandardCharsets.UTF_8);
        byte[] bytes;
        try {
            bytes = ask(key, from, length, there);
        } catch (JedisException e) {
            throw new IOException(what + ": the piece " + index + ": " + e.getMessage(), e);
        }
        if (bytes == null || bytes.length != length) {
            throw new IOException(what + ": the piece " + index + " at offset " + index * piece + (bytes == null ? " is missing"
                    : " has " + bytes.length + " bytes from " + from + " on instead of " + length)
                    + (bytes == null || bytes.length == 0 ? ": was it evicted?" : ""));
        }
        return bytes;
    }

    /** Again if a connection was no good: the server may have closed all that the pool has while nobody used them. */
    private byte[] ask(byte[] key, int from, int length, int there) {
        for (int tries = 0;; tries++) {
            try {
                return length == there ? client.get(key) : client.getrange(key, from, from + length - 1L);
            } catch (JedisConnectionException e) {
                if (tries == MOST_IDLE || e.getCause() instanceof SocketTimeoutException) {
                    throw e;
                }
            }
        }
    }

    @Override
    public int runBytes() {
        return piece;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public void close() {
        closed = true;
        client.close();
    }

    @Override
    public String toString() {
        return what;
    }
}
