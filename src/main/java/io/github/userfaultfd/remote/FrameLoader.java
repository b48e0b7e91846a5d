// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/**
 * Reads what is compressed in frames that can be decompressed one by one. A load of a whole frame is decompressed in place;
 * of others the frame is kept for a while, because the pages beside it are likely to be wanted next.
 */
abstract class FrameLoader implements PageLoaders.Closeable {
    /** Frames that are larger than this are of no use for pages, and would not fit the memory of a small JVM. */
    static final int LARGEST_FRAME = 64 << 20;

    private static final int RUN = 1 << 20;
    private static final int KEPT_BYTES = 16 << 20;

    /** Makes the content of frames, for one thread at a time. */
    interface Decompressor {
        /**
         * Fills the rest of a direct buffer with the whole content of a frame.
         *
         * @param from the compressed frame, direct, from 0 to limit
         * @return bytes put, which are fewer if the frame has less
         * @throws IOException saying what is wrong with the frame
         */
        int decompress(int frame, ByteBuffer from, ByteBuffer to) throws IOException;

        void close();
    }

    /** A decompressor with its room. */
    final class Worker implements AutoCloseable {
        private final Decompressor decompressor = decompressor();
        private ByteBuffer compressed = ByteBuffer.allocateDirect(0);
        private ByteBuffer content = ByteBuffer.allocateDirect(0);

        /**
         * Reads and decompresses a frame into the rest of a direct buffer.
         *
         * @return bytes put
         */
        int decompress(int frame, ByteBuffer to) throws IOException {
            int length = frames.compressedLength(frame);
            if (compressed.capacity() < length) {
                compressed = ByteBuffer.allocateDirect(length);
            }
            source.load(frames.start(frame), compressed.clear().limit(length));
            try {
                return decompressor.decompress(frame, compressed.flip(), to);
            } catch (IOException | RuntimeException e) {
                throw broken(frame, e.getMessage(), e);
            }
        }

        /** All of a frame into a direct buffer that has room for just that. */
        void decompressAll(int frame, ByteBuffer to) throws IOException {
            int made = decompress(frame, to);
            if (made != to.remaining()) {
                throw broken(frame, "it has " + made + " bytes of content instead of " + to.remaining(), null);
            }
        }

        private IOException broken(int frame, @Nullable String why, @Nullable Exception cause) {
            return new IOException(source + ": the frame at offset " + frames.start(frame) + ", " + frames.compressedLength(frame)
                    + " bytes, with the content from offset " + frames.contentAt(frame) + " on, is broken: " + why, cause);
        }

        @Override
        public void close() {
            decompressor.close();
        }

        byte[] content(int frame) throws IOException {
            byte[] bytes = new byte[frames.contentLength(frame)];
            if (content.capacity() < bytes.length) {
                content = ByteBuffer.allocateDirect(bytes.length);
            }
            decompressAll(frame, content.clear().limit(bytes.length));
            content.get(0, bytes);
            return bytes;
        }
    }

    private final PageLoader source;
    private final FrameTable frames;
    private final Queue<Worker> idle = new ConcurrentLinkedQueue<>();
    private final Map<Integer, byte[]> kept = new LinkedHashMap<>(16, 0.75f, true);
    private long keptBytes;
    private volatile boolean closed;

    FrameLoader(PageLoader source, FrameTable frames) {
        this.source = source;
        this.frames = frames;
    }

    abstract Decompressor decompressor();

    @Override
    public void load(long offset, ByteBuffer page) throws IOException {
        if (closed) {
            throw new ClosedChannelException();
        }
        Worker worker = idle.poll();
        worker = worker == null ? new Worker() : worker;
        try {
            for (long at = offset; page.hasRemaining();) {
                at += at < frames.size() ? loadFrom(at, page, worker) : putZeros(page);
            }
        } finally {
            idle.add(worker);
            closeIdle();
        }
    }

    private static int putZeros(ByteBuffer page) {
        int count = page.remaining();
        page.put(new byte[count]);
        return count;
    }

    /** {@return how much one frame gave} */
    private int loadFrom(long at, ByteBuffer page, Worker worker) throws IOException {
        int frame = frames.at(at);
        int skipped = (int) (at - frames.contentAt(frame));
        int length = Math.min(page.remaining(), frames.contentLength(frame) - skipped);
        if (length == frames.contentLength(frame)) {
            worker.decompressAll(frame, page.slice(page.position(), length));
            page.position(page.position() + length);
        } else {
            page.put(content(frame, worker), skipped, length);
        }
        return length;
    }

    private byte[] content(int frame, Worker worker) throws IOException {
        synchronized (kept) {
            byte[] bytes = kept.get(frame);
            if (bytes != null) {
                return bytes;
            }
        }
        byte[] bytes = worker.content(frame);
        synchronized (kept) {
            if (kept.putIfAbsent(frame, bytes) == null) {
                keptBytes += bytes.length;
            }
            for (var each = kept.values().iterator(); keptBytes > KEPT_BYTES;) {
                keptBytes -= each.next().length;
                each.remove();
            }
        }
        return bytes;
    }

    @Override
    public int runBytes() {
        return RUN;
    }

    @Override
    public long size() {
        return frames.size();
    }

    /** Loads that are under way end as usual. */
    @Override
    public void close() throws IOException {
        closed = true;
        closeIdle();
        if (source instanceof PageLoaders.Closeable open) {
            open.close();
        }
    }

    private void closeIdle() {
        for (Worker each = closed ? idle.poll() : null; each != null; each = idle.poll()) {
            each.close();
        }
    }

    @Override
    public String toString() {
        return source.toString();
    }
}
