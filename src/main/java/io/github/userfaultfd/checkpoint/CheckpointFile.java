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
        index();
    }

    /**
     * Reads the index and checks it. It may be large: it is not kept here.
     *
     * @throws IOException naming what is wrong with it, and at which offset
     */
    public CheckpointIndex index() throws IOException {
        int length = (int) (runs() * CheckpointFormat.RUN_LENGTH);
        ByteBuffer bytes = read(dataLength(), length);
        if (CheckpointFormat.crc(bytes) != trailer.getInt(CheckpointFormat.TRAILER_INDEX_CRC)) {
            throw damaged(path, dataLength(), "the checksum of the index, " + length + " bytes, is wrong");
        }
        CheckpointIndex index = new CheckpointIndex(bytes);
        int bad = index.firstBad(isFull(), isCompressed(), pageSize(), regionSize());
        if (bad < index.runs()) {
            throw damaged(path, dataLength() + (long) bad * CheckpointFormat.RUN_LENGTH, "run " + bad + " of the index cannot be");
        }
        if (index.fileEnd() != dataLength() || isFull() && index.regionEnd() != regionSize()) {
            throw damaged(path, dataLength(), "the index leaves something out");
        }
        return index;
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
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            throw e;
        }
    }

    /** In pieces: for a buffer on the heap the JDK keeps a direct one as large. */
    private ByteBuffer read(long at, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        for (int done = 0; done < length; done = bytes.limit()) {
            readFully(at + done, bytes.limit(done + Math.min(length - done, CheckpointFormat.PIECE)));
        }
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
        if (Long.bitCount(page) != 1 || page < 0 || page > CheckpointFormat.LARGEST_PAGE || regionSize() <= 0 || regionSize() % page != 0) {
            throw damaged(path, at + CheckpointFormat.TRAILER_PAGE_SIZE, "a region of " + regionSize() + " bytes in pages of " + page
                    + " bytes does not exist");
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
        return dataLength() + runs() * CheckpointFormat.RUN_LENGTH + trailer.capacity();
    }

    public long runs() {
        return trailer.getLong(CheckpointFormat.TRAILER_RUNS);
    }

    /**
     * Reads the pages of a run, which are right if this returns.
     *
     * @param index this file's
     * @param to a direct buffer, cleared; afterwards the pages remain in it
     * @throws IOException naming the file and the offset
     */
    public void read(CheckpointIndex index, int run, ByteBuffer to) throws IOException {
        to.clear().limit(index.length(run));
        if (index.stored(run) == 0) {
            while (to.remaining() >= Long.BYTES) {
                to.putLong(0);
            }
        } else if (index.stored(run) == index.length(run)) {
            readFully(index.fileOffset(run), to);
            checkRun(index, run, to.flip());
        } else {
            readCompressed(index, run, to);
        }
        to.position(0);
    }

    private void readCompressed(CheckpointIndex index, int run, ByteBuffer to) throws IOException {
        if (zstandard == null) {
            zstandard = Zstandard.load();
            storedBytes = ByteBuffer.allocateDirect(CheckpointFormat.longestRun(pageSize()));
        }
        storedBytes.clear().limit(index.stored(run));
        readFully(index.fileOffset(run), storedBytes);
        checkRun(index, run, storedBytes.flip());
        int length;
        try {
            length = zstandard.decompress(storedBytes, to);
        } catch (RuntimeException e) {
            throw (IOException) damaged(path, index.fileOffset(run), "the pages cannot be decompressed: " + e.getMessage()).initCause(e);
        }
        if (length != index.length(run)) {
            throw damaged(path, index.fileOffset(run), length + " bytes were decompressed where the index says " + index.length(run));
        }
    }

    private void checkRun(CheckpointIndex index, int run, ByteBuffer bytes) throws IOException {
        if (CheckpointFormat.crc(bytes) != index.crc(run)) {
            throw damaged(path, index.fileOffset(run), "the checksum of " + index.stored(run) + " bytes is wrong, which hold "
                    + index.length(run) + " bytes of the region from offset " + index.offset(run) + " on");
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
