// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;

/** Loaders for what people have. Each is closed by whoever made it, after the pagers that use it. */
public final class PageLoaders {
    private PageLoaders() {}

    /** A loader that holds something open. */
    public interface Closeable extends PageLoader, AutoCloseable {
        @Override
        void close() throws IOException;
    }

    /**
     * Reads a file; its size is that of the file now. What lies behind the end inside the last page reads as zeros.
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
     * server has to know ranges, and the resource must not change meanwhile, which is seen by its ETag or its length.
     *
     * @param resource http or https
     * @param timeout for each request
     * @return a loader that takes runs of up to 1 MiB
     * @throws IOException if the server does not answer, or not to ranges
     */
    public static PageLoader http(URI resource, Duration timeout) throws IOException {
        return new HttpLoader(resource, timeout);
    }
}
