// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import static io.github.userfaultfd.checkpoint.CheckpointFormat.damaged;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A checkpoint file that is read. Once it is open, its trailer and its index are right; the pages of a run are checked when they
 * are read. For one thread.
 */
public final class CheckpointFile implements Closeable {
    private final Path path;
    private final FileChannel channel;
    private final ByteBuffer trailer;
    private final ByteBuffer index;
    private ByteBuffer storedBytes;
    private Zstandard zstandard;

    private CheckpointFile(Path path, FileChannel channel) throws IOException {
        this.path = path;
        this.channel = channel;
        long size = channel.size();
        long at = size - CheckpointFormat.TRAILER_LENGTH;
        if (at < 0) {
            throw damaged(path, size, "the file ends here, before its trailer: it was cut short");
        }
        trailer = read(at, CheckpointFormat.TRAILER_LENGTH);
        checkTrailer(at);
        long length = at - dataLength();
        if (dataLength() < 0 || length < 0 || length > Integer.MAX_VALUE - 8 || length % CheckpointFormat.RUN_LENGTH != 0
                || length / CheckpointFormat.RUN_LENGTH != trailer.getLong(CheckpointFormat.TRAILER_RUNS)) {
            throw damaged(path, at, "the lengths of pages and index do not add up to the file's, " + size + " bytes");
        }
        index = read(dataLength(), (int) length);
        if (CheckpointFormat.crc(index) != trailer.getInt(CheckpointFormat.TRAILER_INDEX_CRC)) {
            throw damaged(path, dataLength(), "the checksum of the index, " + length + " bytes, is wrong");
        }
        checkIndex();
    }

    /**
     * Opens a file and checks its trailer and index.
     *
     * @throws java.nio.file.NoSuchFileException if it is not there
     * @throws IOException naming what is wrong with it, and at which offset
     */
    public static CheckpointFile open(Path path) throws IOException {
        FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
        try {
            return new CheckpointFile(path, channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    private ByteBuffer read(long at, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
        readFully(at, bytes);
        return bytes.flip();
    }

    private void readFully(long at, ByteBuffer to) throws IOException {
        for (long next = at; to.hasRemaining();) {
            int done = channel.read(to, next);
            if (done < 0) {
                throw damaged(path, next, "the file ends here: it was cut short");
            }
            next += done;
        }
    }

    private void checkTrailer(long at) throws IOException {
        if (trailer.getLong(CheckpointFormat.TRAILER_MAGIC) != CheckpointFormat.MAGIC) {
            throw damaged(path, at, "there is no trailer: this is no checkpoint, or it was cut short");
        }
        if (CheckpointFormat.crc(trailer.slice(0, CheckpointFormat.TRAILER_CRC)) != trailer.getInt(CheckpointFormat.TRAILER_CRC)) {
            throw damaged(path, at, "the checksum of the trailer is wrong");
        }
        int version = trailer.getInt(CheckpointFormat.TRAILER_VERSION);
        if (version != CheckpointFormat.VERSION) {
            throw damaged(path, at + CheckpointFormat.TRAILER_VERSION, "version " + version + " of the format is not known here, only "
                    + CheckpointFormat.VERSION);
        }
        int compression = trailer.getInt(CheckpointFormat.TRAILER_COMPRESSION);
        if (compression != CheckpointFormat.COMPRESSION_NONE && compression != CheckpointFormat.COMPRESSION_ZSTD) {
            throw damaged(path, at + CheckpointFormat.TRAILER_COMPRESSION, "compression " + compression + " is not known here");
        }
        long page = pageSize();
        if (Long.bitCount(page) != 1 || page < 0 || page > 1 << 30 || regionSize() <= 0 || regionSize() % page != 0) {
            throw damaged(path, at + CheckpointFormat.TRAILER_PAGE_SIZE, "a region of " + regionSize() + " bytes in pages of " + page
                    + " bytes does not exist");
        }
    }

    private void checkIndex() throws IOException {
        long regionEnd = 0;
        long fileEnd = 0;
        long longest = CheckpointFormat.longestRun(pageSize());
        for (int i = 0; i < runs(); i++) {
            boolean whole = offset(i) % pageSize() == 0 && length(i) % pageSize() == 0 && length(i) > 0 && length(i) <= longest;
            boolean placed = isFull() ? offset(i) == regionEnd : offset(i) >= regionEnd;
            boolean stored = stored(i) == 0 || stored(i) == length(i) || isCompressed() && stored(i) > 0 && stored(i) < length(i);
            if (!whole || !placed || !stored || offset(i) > regionSize() - length(i) || fileOffset(i) != fileEnd
                    || index.getInt(i * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_RESERVED) != 0) {
                throw damaged(path, dataLength() + (long) i * CheckpointFormat.RUN_LENGTH, "run " + i + " of the index cannot be");
            }
            regionEnd = offset(i) + length(i);
            fileEnd += stored(i);
        }
        if (fileEnd != dataLength() || isFull() && regionEnd != regionSize()) {
            throw damaged(path, dataLength(), "the index leaves something out");
        }
    }

    public Path path() {
        return path;
    }

    public long number() {
        return trailer.getLong(CheckpointFormat.TRAILER_NUMBER);
    }

    /** {@return the number of the checkpoint that this one adds to, 0 for a full one} */
    public long baseNumber() {
        return trailer.getLong(CheckpointFormat.TRAILER_BASE_NUMBER);
    }

    public boolean isFull() {
        return baseNumber() == 0;
    }

    /** {@return a number that no other file has, drawn by chance} */
    public long id() {
        return trailer.getLong(CheckpointFormat.TRAILER_ID);
    }

    public long baseId() {
        return trailer.getLong(CheckpointFormat.TRAILER_BASE_ID);
    }

    /** {@return when it was begun, in milliseconds since 1970} */
    public long created() {
        return trailer.getLong(CheckpointFormat.TRAILER_CREATED);
    }

    public long pageSize() {
        return trailer.getLong(CheckpointFormat.TRAILER_PAGE_SIZE);
    }

    public long regionSize() {
        return trailer.getLong(CheckpointFormat.TRAILER_REGION_SIZE);
    }

    public boolean isCompressed() {
        return trailer.getInt(CheckpointFormat.TRAILER_COMPRESSION) != CheckpointFormat.COMPRESSION_NONE;
    }

    /** {@return how many bytes of the file are pages; the index follows} */
    private long dataLength() {
        return trailer.getLong(CheckpointFormat.TRAILER_DATA_LENGTH);
    }

    /** {@return the file's size in bytes} */
    public long bytes() {
        return dataLength() + index.capacity() + trailer.capacity();
    }

    public int runs() {
        return index.capacity() / CheckpointFormat.RUN_LENGTH;
    }

    /** {@return where a run begins, in bytes from the region's start} */
    public long offset(int run) {
        return index.getLong(run * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_REGION_OFFSET);
    }

    /** {@return how many bytes of the region a run has} */
    public int length(int run) {
        return index.getInt(run * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_BYTES);
    }

    /** {@return how many bytes of the file a run has: 0 for zeros, less than its length if it is compressed} */
    public int stored(int run) {
        return index.getInt(run * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_STORED);
    }

    public long fileOffset(int run) {
        return index.getLong(run * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_FILE_OFFSET);
    }

    /** {@return the CRC-32C of what the file has of a run} */
    public int crc(int run) {
        return index.getInt(run * CheckpointFormat.RUN_LENGTH + CheckpointFormat.RUN_CRC);
    }

    /**
     * Reads the pages of a run, which are right if this returns.
     *
     * @param to a direct buffer, cleared; afterwards the pages remain in it
     * @throws IOException naming the file and the offset
     */
    public void read(int run, ByteBuffer to) throws IOException {
        to.clear().limit(length(run));
        if (stored(run) == 0) {
            while (to.remaining() >= Long.BYTES) {
                to.putLong(0);
            }
        } else if (stored(run) == length(run)) {
            readFully(fileOffset(run), to);
            checkRun(run, to.flip());
        } else {
            readCompressed(run, to);
        }
        to.position(0);
    }

    private void readCompressed(int run, ByteBuffer to) throws IOException {
        if (zstandard == null) {
            zstandard = Zstandard.load();
            storedBytes = ByteBuffer.allocateDirect(CheckpointFormat.longestRun(pageSize()));
        }
        storedBytes.clear().limit(stored(run));
        readFully(fileOffset(run), storedBytes);
        checkRun(run, storedBytes.flip());
        int length;
        try {
            length = zstandard.decompress(storedBytes, to);
        } catch (RuntimeException e) {
            throw (IOException) damaged(path, fileOffset(run), "the pages cannot be decompressed: " + e.getMessage()).initCause(e);
        }
        if (length != length(run)) {
            throw damaged(path, fileOffset(run), length + " bytes were decompressed where the index says " + length(run));
        }
    }

    private void checkRun(int run, ByteBuffer bytes) throws IOException {
        if (CheckpointFormat.crc(bytes) != crc(run)) {
            throw damaged(path, fileOffset(run), "the checksum of " + stored(run) + " bytes is wrong, which hold "
                    + length(run) + " bytes of the region from offset " + offset(run) + " on");
        }
    }

    @Override
    public void close() throws IOException {
        if (zstandard != null) {
            zstandard.close();
        }
        channel.close();
    }
}
