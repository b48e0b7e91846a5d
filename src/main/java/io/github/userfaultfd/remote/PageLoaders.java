// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** Loaders for what people have. Each is closed by whoever made it, after the pagers that use it. */
public final class PageLoaders {
    static final String LZ4 = "at.yawk.lz4:lz4-java";
    static final String REDIS = "redis.clients:jedis";
    static final String ZSTD = "com.github.luben:zstd-jni";

    private PageLoaders() {}

    /** A loader that holds something open. */
    public interface Closeable extends PageLoader, AutoCloseable {
        @Override
        void close() throws IOException;
    }

    /**
     * Reads a file; its size is that of the file now. What lies behind the end inside the last page reads as zeros. It may lose its
     * name. After a load that was interrupted, because it took too long or its process has ended, the file is opened again, and then
     * another size or time of change is a failed load.
     *
     * @param file to be read
     * @return a loader that takes runs of up to 256 KiB
     * @throws IOException if it cannot be opened
     */
    public static Closeable file(Path file) throws IOException {
        return new FileLoader(file);
    }

    /**
     * Fetches parts of a resource by HTTP range requests, {@code java.net.http}: so a snapshot can stay in an object store. The
     * server has to know ranges, and the resource must not change meanwhile: another ETag, or without that another
     * Last-Modified, or another length is a failed load. A server that tells neither can mix two of the same length unseen.
     *
     * @param resource http or https
     * @param timeout for the head of each answer, and as much for the rest of it
     * @return a loader that takes runs of up to 1 MiB
     * @throws IOException if the server does not answer, or not to ranges
     */
    public static Closeable http(URI resource, Duration timeout) throws IOException {
        return new HttpLoader(resource, timeout);
    }

    /**
     * Reads a file in zstd's seekable format, which {@code java -jar userfaultfd.jar compress}, {@link ZstdFile} and others
     * make: frames that can be decompressed one by one, and a table of their sizes behind them. A frame is checked against its
     * checksum, if it or the table has one. Needs {@code com.github.luben:zstd-jni}, and {@code at.yawk.lz4:lz4-java} if only
     * the table has checksums.
     *
     * @param file to be read
     * @return a loader that takes runs of up to 1 MiB
     * @throws IOException if it cannot be opened, is cut short, or is not such a file
     */
    public static Closeable zstd(Path file) throws IOException {
        return compressed(file, PageLoaders::zstd);
    }

    /**
     * Like {@link #zstd(Path)}, from compressed bytes that another loader has: so they can stay in an object store, {@link
     * #http}.
     *
     * @param compressed gives the bytes of the file; closed with the result if it is a {@link Closeable}
     * @return a loader that takes runs of up to 1 MiB
     * @throws IOException if its bytes cannot be had, are cut short, or are not in that format
     */
    public static Closeable zstd(PageLoader compressed) throws IOException {
        return needing(ZSTD, compressed.toString(), () -> ZstdLoader.open(compressed));
    }

    /**
     * Reads a file of the {@code lz4} command: one frame of independent blocks, its default. A page costs the decompression of
     * its block, so {@code lz4 -B4}, blocks of 64 KiB, suits best. Blocks are checked only if they have checksums, {@code lz4
     * -BX}. Needs {@code at.yawk.lz4:lz4-java}.
     *
     * @param file to be read; hopped through once, block by block, and decompressed once if its header does not tell how much
     *     content there is, as it does after {@code lz4 --content-size}, or if blocks before the last are short
     * @return a loader that takes runs of up to 1 MiB
     * @throws IOException if it cannot be opened, is cut short, or is not such a file
     */
    public static Closeable lz4(Path file) throws IOException {
        return compressed(file, source -> needing(LZ4, file.toString(), () -> Lz4Loader.open(source)));
    }

    /**
     * Fetches pieces from a Redis server. The hash {@code name} has the fields {@code size}, in bytes, and {@code piece}, the
     * size of a piece in bytes, 64 MiB at most; the strings {@code name:0}, {@code name:1} and so on have the pieces, all of
     * that size but the last. A piece that is missing, because it was evicted, is a failed load. Needs {@code
     * redis.clients:jedis}.
     *
     * @param server {@code redis://host:port}, with user, password and database if needed, or {@code rediss}
     * @param name of the hash
     * @param timeout for a connection, and for each answer
     * @return a loader that takes runs of a piece
     * @throws IOException if the server does not answer, or has no such hash
     */
    public static Closeable redis(URI server, String name, Duration timeout) throws IOException {
        SocketDescriptor.nanos(timeout);
        return needing(REDIS, server.getScheme() + " servers", () -> new RedisLoader(server, name, timeout));
    }

    /** Makes a loader, or what else needs a library that may not be there. */
    @FunctionalInterface
    interface Making<T extends @Nullable Object> {
        T make() throws IOException;
    }

    /** Tells which artifact is missing, if that is why it cannot be made. */
    static <T extends @Nullable Object> T needing(String artifact, String what, Making<T> making) throws IOException {
        try {
            return making.make();
        } catch (NoClassDefFoundError e) {
            throw new IOException(what + ": " + artifact + " is needed on the class path or module path", e);
        }
    }

    @FunctionalInterface
    private interface Decompressing {
        Closeable of(PageLoader source) throws IOException;
    }

    private static Closeable compressed(Path file, Decompressing how) throws IOException {
        Closeable source = file(file);
        try {
            return how.of(source);
        } catch (IOException | RuntimeException | Error e) {
            source.close();
            throw e;
        }
    }
}
