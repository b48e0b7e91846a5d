// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Parts of a resource by range requests, RFC 9110 section 14. */
final class HttpLoader implements PageLoaders.Closeable {
    private static final int RUN = 1 << 20;
    private static final int PARTIAL_CONTENT = 206;
    private static final Pattern FIRST_BYTE = Pattern.compile("bytes 0-0/0*([1-9]\\d{0,17})", Pattern.CASE_INSENSITIVE);

    private final HttpClient client;
    private final URI resource;
    private final Duration timeout;
    private final long size;
    private final String version;

    HttpLoader(URI resource, Duration timeout) throws IOException {
        this.resource = resource;
        this.timeout = timeout;
        client = HttpClient.newBuilder().connectTimeout(timeout).followRedirects(HttpClient.Redirect.NORMAL).build();
        HttpResponse<byte[]> first = get(0, 1);
        Matcher range = FIRST_BYTE.matcher(range(first));
        if (!range.matches()) {
            throw new IOException(resource + ": the server does not tell the length: Content-Range is '" + range(first) + "'");
        }
        size = Long.parseLong(range.group(1));
        version = version(first);
    }

    private static String range(HttpResponse<byte[]> response) {
        return response.headers().firstValue("Content-Range").orElse("");
    }

    /** {@return what tells it from what had its name before and has its length} */
    private static String version(HttpResponse<byte[]> response) {
        return Stream.of("ETag", "Last-Modified").flatMap(name -> response.headers().firstValue(name).stream()
                .map(value -> name + " " + value)).findFirst().orElse("neither ETag nor Last-Modified");
    }

    private HttpResponse<byte[]> get(long offset, int length) throws IOException {
        HttpRequest request = HttpRequest.newBuilder(resource).timeout(timeout)
                .header("Range", "bytes=" + offset + "-" + (offset + length - 1)).build();
        AtomicReference<Part> part = new AtomicReference<>();
        try {
            return client.send(request, info -> {
                part.set(new Part(info.statusCode(), length, SocketDescriptor.nanos(timeout)));
                return part.get();
            });
        } catch (HttpTimeoutException e) {
            throw e;
        } catch (IOException e) {
            Throwable why = part.get() == null || part.get().failure == null ? e : part.get().failure;
            throw new IOException(resource + ", " + length + " bytes at " + offset + ": " + why.getMessage(), why);
        } catch (InterruptedException e) {
            throw (IOException) new InterruptedIOException(resource + ": interrupted").initCause(e);
        }
    }

    /** Takes the bytes that were asked for and no others: a server that does not know ranges sends everything. */
    private static final class Part implements HttpResponse.BodySubscriber<byte[]> {
        private final int status;
        private final ByteBuffer bytes;
        private final CompletableFuture<byte[]> body = new CompletableFuture<>();
        private volatile Flow.@Nullable Subscription subscription;
        /** The client may know of the end of the subscription before it knows why. */
        private volatile @Nullable Throwable failure;

        Part(int status, int length, long timeoutNanos) {
            this.status = status;
            bytes = ByteBuffer.allocate(length);
            // The client's own time limit ends with the header. Not of the body itself: the reason has to be known before its end.
            CompletableFuture<Void> limit = new CompletableFuture<>();
            body.whenComplete((done, why) -> limit.complete(null));
            limit.orTimeout(timeoutNanos, TimeUnit.NANOSECONDS).exceptionally(why -> {
                fail(new IOException("the server sent " + bytes.position() + " of them and then nothing for too long"));
                return null;
            });
        }

        @Override
        public CompletionStage<byte[]> getBody() {
            return body;
        }

        private void fail(Throwable why) {
            failure = why;
            body.completeExceptionally(why);
            Flow.Subscription its = subscription;
            if (its != null) {
                its.cancel();
            }
        }

        @Override
        public void onSubscribe(Flow.Subscription its) {
            subscription = its;
            if (status == PARTIAL_CONTENT) {
                its.request(Long.MAX_VALUE);
            } else {
                fail(new IOException("the server answers a range request with status " + status));
            }
        }

        @Override
        public void onNext(List<ByteBuffer> pieces) {
            for (ByteBuffer each : pieces) {
                if (each.remaining() > bytes.remaining()) {
                    fail(new IOException("the server sends more than it was asked for"));
                    return;
                }
                bytes.put(each);
            }
        }

        @Override
        public void onError(Throwable why) {
            fail(why);
        }

        @Override
        public void onComplete() {
            if (bytes.hasRemaining()) {
                fail(new IOException("the server sends only " + bytes.position() + " of them"));
            } else {
                body.complete(bytes.array());
            }
        }
    }

    @Override
    public void load(long offset, ByteBuffer page) throws IOException {
        int length = (int) Math.max(0, Math.min(page.remaining(), size - offset));
        if (length > 0) {
            HttpResponse<byte[]> response = get(offset, length);
            if (!version(response).equals(version)) {
                throw new IOException(resource + " has changed: it has " + version(response) + ", not " + version + " any more");
            }
            String range = "bytes " + offset + "-" + (offset + length - 1) + "/" + size;
            if (!range(response).equalsIgnoreCase(range)) {
                throw new IOException(resource + " has changed, or the server is mistaken: Content-Range is '" + range(response)
                        + "' instead of '" + range + "'");
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

    /** The client's threads end with the last reference to it, or from JDK 21 on, which can say so, now. */
    @Override
    public void close() throws IOException {
        Object its = client;
        if (its instanceof AutoCloseable closeable) {
            try {
                closeable.close();
            } catch (Exception e) {
                throw new IOException(resource + ": the client cannot be closed", e);
            }
        }
    }

    @Override
    public String toString() {
        return resource.toString();
    }
}
