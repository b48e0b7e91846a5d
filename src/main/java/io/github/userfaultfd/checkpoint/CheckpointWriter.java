// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/**
 * A checkpoint file that is written, under a name that nobody reads until {@link #commit}. For one thread.
 */
public final class CheckpointWriter implements Closeable {
    private static final int FIRST_INDEX = 1024;

    private final Path directory;
    private final Path partial;
    private final long number;
    private final FileChannel channel;
    private final ByteBuffer trailer = littleEndian(ByteBuffer.allocate(CheckpointFormat.TRAILER_LENGTH));
    private final ByteBuffer zeros;
    private final ByteBuffer compressed;
    private final Zstandard zstandard;
    private ByteBuffer index = littleEndian(ByteBuffer.allocate(FIRST_INDEX * CheckpointFormat.RUN_LENGTH));
    private long dataLength;
    private boolean renamed;

    /** What a new file adds to: a checkpoint that is complete. */
    public record Base(long number, long id) {}

    /**
     * Begins a file.
     *
     * @param base null for a full checkpoint
     * @param zstandard the library if the runs are to be compressed, else null; closed with this
     */
    private CheckpointWriter(Path directory, long number, Base base, long id, long regionSize, long pageSize, Zstandard zstandard)
            throws IOException {
        this.directory = directory;
        this.number = number;
        this.zstandard = zstandard;
        int longest = CheckpointFormat.longestRun(pageSize);
        zeros = ByteBuffer.allocateDirect(longest);
        compressed = zstandard == null ? null : ByteBuffer.allocateDirect(Zstandard.bound(longest));
        trailer.putLong(CheckpointFormat.TRAILER_MAGIC, CheckpointFormat.MAGIC)
                .putInt(CheckpointFormat.TRAILER_VERSION, CheckpointFormat.VERSION)
                .putInt(CheckpointFormat.TRAILER_COMPRESSION,
                        zstandard == null ? CheckpointFormat.COMPRESSION_NONE : CheckpointFormat.COMPRESSION_ZSTD)
                .putLong(CheckpointFormat.TRAILER_PAGE_SIZE, pageSize)
                .putLong(CheckpointFormat.TRAILER_REGION_SIZE, regionSize)
                .putLong(CheckpointFormat.TRAILER_NUMBER, number)
                .putLong(CheckpointFormat.TRAILER_BASE_NUMBER, base == null ? 0 : base.number())
                .putLong(CheckpointFormat.TRAILER_ID, id)
                .putLong(CheckpointFormat.TRAILER_BASE_ID, base == null ? 0 : base.id())
                .putLong(CheckpointFormat.TRAILER_CREATED, System.currentTimeMillis());
        partial = directory.resolve(CheckpointFormat.name(number, base == null) + CheckpointFormat.PARTIAL);
        channel = FileChannel.open(partial, StandardOpenOption.WRITE, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING);
    }

    /**
     * Begins a file.
     *
     * @param base null for a full checkpoint
     * @throws IllegalStateException if the library that compresses is missing
     */
    public static CheckpointWriter create(Path directory, long number, Base base, long id, long regionSize, long pageSize,
            boolean compress) throws IOException {
        Zstandard zstandard = compress ? Zstandard.load() : null;
        try {
            return new CheckpointWriter(directory, number, base, id, regionSize, pageSize, zstandard);
        } catch (IOException | RuntimeException e) {
            if (zstandard != null) {
                zstandard.close();
            }
            throw e;
        }
    }

    /**
     * Looks whether the library that compresses is there.
     *
     * @throws IllegalStateException naming the artifact if it is not
     */
    public static void requireCompression() {
        Zstandard.load().close();
    }

    /**
     * {@return how long a run can be, in bytes}
     *
     * @throws IllegalArgumentException if a page is too large for one
     */
    public static int longestRun(long pageSize) {
        return CheckpointFormat.longestRun(pageSize);
    }

    private static ByteBuffer littleEndian(ByteBuffer buffer) {
        return buffer.order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * {@return whether so many runs fit into a file}
     *
     * @param runs each of at most {@link #longestRun} bytes
     */
    public static boolean fit(long runs) {
        return runs <= CheckpointFormat.MOST_RUNS;
    }

    /**
     * Adds the pages that remain in a direct buffer.
     *
     * @param offset where they are in the region; each run behind the one before, and all of them as many as {@link #fit}
     */
    public void add(long offset, ByteBuffer pages) throws IOException {
        int length = pages.remaining();
        ByteBuffer stored = stored(pages);
        int bytes = stored.remaining();
        int crc = bytes == 0 ? 0 : CheckpointFormat.crc(stored);
        if (!index.hasRemaining()) {
            index = littleEndian(ByteBuffer.wrap(Arrays.copyOf(index.array(), Math.multiplyExact(index.capacity(), 2))))
                    .position(index.capacity());
        }
        index.putLong(offset).putLong(dataLength).putInt(length).putInt(bytes).putInt(crc).putInt(0);
        write(stored);
        dataLength += bytes;
    }

    /** What the file gets of a run: nothing if it is all zeros, less if it can be compressed. */
    private ByteBuffer stored(ByteBuffer pages) {
        int length = pages.remaining();
        if (pages.mismatch(zeros.slice(0, length)) < 0) {
            return zeros.slice(0, 0);
        }
        if (zstandard != null) {
            int bytes = zstandard.compress(pages, compressed);
            if (bytes < length) {
                return compressed.slice(0, bytes);
            }
        }
        return pages.duplicate();
    }

    private void write(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    /** In pieces: for a buffer on the heap the JDK keeps a direct one as large. */
    private void writeIndex(ByteBuffer all) throws IOException {
        for (int done = 0; done < all.limit(); done += CheckpointFormat.PIECE) {
            write(all.slice(done, Math.min(CheckpointFormat.PIECE, all.limit() - done)));
        }
    }

    /** Makes the checkpoint durable and only then known: when this returns, a crash at any instant leaves it there. */
    public void commit() throws IOException {
        ByteBuffer all = index.flip();
        trailer.putLong(CheckpointFormat.TRAILER_DATA_LENGTH, dataLength)
                .putLong(CheckpointFormat.TRAILER_RUNS, all.remaining() / CheckpointFormat.RUN_LENGTH)
                .putInt(CheckpointFormat.TRAILER_INDEX_CRC, CheckpointFormat.crc(all));
        trailer.putInt(CheckpointFormat.TRAILER_CRC, CheckpointFormat.crc(trailer.slice(0, CheckpointFormat.TRAILER_CRC)));
        writeIndex(all);
        write(trailer);
        channel.force(true);
        boolean full = trailer.getLong(CheckpointFormat.TRAILER_BASE_NUMBER) == 0;
        Files.move(partial, directory.resolve(CheckpointFormat.name(number, full)), StandardCopyOption.ATOMIC_MOVE);
        renamed = true;
        CheckpointDirectory.force(directory);
    }

    /** {@return whether the file has its name, even if {@link #commit} failed after that} */
    public boolean isKnown() {
        return renamed;
    }

    /** {@return the file's size in bytes, once it is committed} */
    public long bytes() {
        return dataLength + index.limit() + trailer.capacity();
    }

    /** Ends writing; what was not committed is deleted. */
    @Override
    public void close() throws IOException {
        if (zstandard != null) {
            zstandard.close();
        }
        channel.close();
        if (!renamed) {
            Files.deleteIfExists(partial);
        }
    }
}
