// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Optional;

/** Parts of a resource by range requests, RFC 9110 section 14. */
final class HttpLoader implements PageLoader {
    private static final int RUN = 1 << 20;
    private static final int PARTIAL_CONTENT = 206;

    private final HttpClient client;
    private final URI resource;
    private final Duration timeout;
    private final long size;
    private final Optional<String> tag;

    HttpLoader(URI resource, Duration timeout) throws IOException {
        this.resource = resource;
        this.timeout = timeout;
        client = HttpClient.newBuilder().connectTimeout(timeout).followRedirects(HttpClient.Redirect.NORMAL).build();
        HttpResponse<byte[]> first = get(0, 1);
        // Content-Range: bytes 0-0/LENGTH
        String range = first.headers().firstValue("Content-Range").orElse("");
        try {
            size = Long.parseLong(range.substring(range.lastIndexOf('/') + 1));
        } catch (NumberFormatException e) {
            throw new IOException(resource + ": the server does not tell the length: Content-Range is '" + range + "'", e);
        }
        tag = first.headers().firstValue("ETag");
    }

    private HttpResponse<byte[]> get(long offset, long length) throws IOException {
        HttpRequest request = HttpRequest.newBuilder(resource).timeout(timeout)
                .header("Range", "bytes=" + offset + "-" + (offset + length - 1)).build();
        HttpResponse<byte[]> response;
        try {
            response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        } catch (InterruptedException e) {
            throw (IOException) new InterruptedIOException(resource + ": interrupted").initCause(e);
        }
        if (response.statusCode() != PARTIAL_CONTENT) {
            throw new IOException(resource + ": the server answers a range request with status " + response.statusCode());
        }
        return response;
    }

    @Override
    public void load(long offset, ByteBuffer page) throws IOException {
        int length = (int) Math.max(0, Math.min(page.remaining(), size - offset));
        if (length > 0) {
            HttpResponse<byte[]> response = get(offset, length);
            if (!response.headers().firstValue("ETag").equals(tag)) {
                throw new IOException(resource + " has changed: its ETag is not " + tag.orElse("missing") + " any more");
            }
            if (response.body().length != length) {
                throw new IOException(resource + ": " + response.body().length + " bytes instead of " + length + " at "
                        + offset);
            }
            page.put(response.body());
        }
        while (page.hasRemaining()) {
            page.put((byte) 0);
        }
    }

    @Override
    public int runBytes() {
        return RUN;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public String toString() {
        return resource.toString();
    }
}
