// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdDecompressCtx;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jpountz.xxhash.XXHashFactory;
import org.jspecify.annotations.Nullable;

/**
 * Zstd's seekable format: frames, and behind them a table of their sizes in a frame that every decompressor skips.
 *
 * @see <a href="https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md">
 *     Zstandard Seekable Format</a>
 */
final class ZstdLoader extends FrameLoader {
    static final int SKIPPABLE_MAGIC = 0x184D2A5E;
    static final int SEEKABLE_MAGIC = 0x8F92EAB1;
    static final int FOOTER_BYTES = 9;
    static final int HEADER_BYTES = 8;
    static final int HAS_CHECKSUMS = 0x80;
    static final int MOST_FRAMES = 0x8000000;

    private static final int FRAME_MAGIC = 0xFD2FB528;
    private static final int RESERVED = 0x7C;
    private static final int ENTRY_BYTES = 8;
    private static final int CHECKSUM_BYTES = 4;
    private static final int PIECE_ENTRIES = 8192;
    private static final int DESCRIPTOR_AT = 4;
    private static final int FRAME_HAS_CHECKSUM = 4;

    /** The low half of each frame's XXH64; null if the table has none. */
    private final int @Nullable [] checksums;

    private ZstdLoader(PageLoader source, FrameTable frames, int @Nullable [] checksums) {
        super(source, frames);
        this.checksums = checksums;
    }

    static ZstdLoader open(PageLoader source) throws IOException {
        // So that what is missing is missed now, and not when a page is needed.
        Zstd.defaultCompressionLevel();
        long size = source.size();
        if (size < HEADER_BYTES + FOOTER_BYTES) {
            throw new IOException(source + " has " + size + " bytes: too short for zstd's seekable format");
        }
        ByteBuffer footer = read(source, size - FOOTER_BYTES, FOOTER_BYTES);
        if (footer.getInt(FOOTER_BYTES - Integer.BYTES) != SEEKABLE_MAGIC) {
            throw new IOException(source + " is cut short, or not in zstd's seekable format: there is no end of a seek table at"
                    + " offset " + (size - FOOTER_BYTES)
                    + "; 'java -jar userfaultfd.jar compress' makes such files");
        }
        int count = footer.getInt(0);
        int descriptor = footer.get(DESCRIPTOR_AT) & 0xFF;
        int entry = ENTRY_BYTES + ((descriptor & HAS_CHECKSUMS) == 0 ? 0 : CHECKSUM_BYTES);
        long table = (long) count * entry + FOOTER_BYTES;
        long end = size - table - HEADER_BYTES;
        if (count < 0 || count > MOST_FRAMES || (descriptor & RESERVED) != 0 || end < 0) {
            throw new IOException(source + ": the seek table's end at offset " + (size - FOOTER_BYTES) + " is broken: it tells of "
                    + Integer.toUnsignedString(count) + " frames, descriptor 0x" + Integer.toHexString(descriptor));
        }
        ByteBuffer header = read(source, end, HEADER_BYTES);
        if (header.getInt(0) != SKIPPABLE_MAGIC || Integer.toUnsignedLong(header.getInt(Integer.BYTES)) != table) {
            throw new IOException(source + ": there is no seek table of " + count + " frames at offset " + end);
        }
        FrameTable frames = new FrameTable();
        int @Nullable [] checksums = entry == ENTRY_BYTES ? null : new int[count];
        readTable(source, end + HEADER_BYTES, count, entry, frames, checksums);
        long told = count == 0 ? 0 : frames.start(count - 1) + frames.compressedLength(count - 1);
        if (told != end) {
            throw new IOException(source + ": the frames of the seek table at offset " + end + " have " + told
                    + " bytes: some are missing, or too many");
        }
        ZstdLoader loader = new ZstdLoader(source, frames, checksums);
        loader.checkEmpty(frames);
        return loader;
    }

    /** Frames without content, as the table tells, are never looked at later: one that has some would be left out. */
    private void checkEmpty(FrameTable frames) throws IOException {
        try (Worker worker = new Worker()) {
            for (int frame = 0; frame < frames.count(); frame++) {
                if (frames.contentLength(frame) == 0) {
                    worker.decompressAll(frame, ByteBuffer.allocateDirect(0));
                }
            }
        }
    }

    private static void readTable(PageLoader source, long from, int count, int entry, FrameTable frames, int @Nullable [] checksums)
            throws IOException {
        long start = 0;
        for (int done = 0; done < count;) {
            int some = Math.min(PIECE_ENTRIES, count - done);
            ByteBuffer entries = read(source, from + (long) done * entry, some * entry);
            for (int i = 0; i < some; i++, done++) {
                long compressed = Integer.toUnsignedLong(entries.getInt());
                long content = Integer.toUnsignedLong(entries.getInt());
                if (compressed > LARGEST_FRAME || content > LARGEST_FRAME) {
                    throw new IOException(source + ": frame " + done + " at offset " + start + " has " + compressed
                            + " bytes and " + content + " of content, which are more than " + LARGEST_FRAME
                            + ": smaller frames are needed for pages");
                }
                frames.add(start, (int) compressed, (int) content);
                start += compressed;
                if (checksums != null) {
                    checksums[done] = entries.getInt();
                }
            }
        }
    }

    private static ByteBuffer read(PageLoader source, long offset, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
        source.load(offset, bytes);
        return bytes.flip();
    }

    @Override
    Decompressor decompressor() {
        ZstdDecompressCtx context = new ZstdDecompressCtx();
        return new Decompressor() {
            @Override
            public int decompress(int frame, ByteBuffer from, ByteBuffer to) throws IOException {
                int made = context.decompressDirectByteBuffer(to, to.position(), to.remaining(), from, 0, from.limit());
                if (checksums != null && checksum(from, to, made) != checksums[frame]) {
                    throw new IOException("its checksum is not that of the seek table");
                }
                return made;
            }

            @Override
            public void close() {
                context.close();
            }
        };
    }

    /** A frame that has a checksum of its own has been checked against that: it is the same number, in the last bytes. */
    private static int checksum(ByteBuffer from, ByteBuffer to, int made) throws IOException {
        from.order(ByteOrder.LITTLE_ENDIAN);
        if (from.limit() > DESCRIPTOR_AT && from.getInt(0) == FRAME_MAGIC && (from.get(DESCRIPTOR_AT) & FRAME_HAS_CHECKSUM) != 0) {
            return from.getInt(from.limit() - CHECKSUM_BYTES);
        }
        return PageLoaders.needing(PageLoaders.LZ4, "the checksums of this file",
                () -> (int) XXHashFactory.fastestInstance().hash64().hash(to, to.position(), made, 0));
    }
}
