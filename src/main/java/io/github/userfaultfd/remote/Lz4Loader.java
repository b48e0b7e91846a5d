// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jpountz.lz4.LZ4Factory;
import net.jpountz.lz4.LZ4SafeDecompressor;
import net.jpountz.xxhash.XXHash32;
import net.jpountz.xxhash.XXHashFactory;

/**
 * A file of the {@code lz4} command. Its blocks can be decompressed one by one, unless each is linked to those before it. Where
 * they are is told by the four bytes before each: so the file is hopped through once, when it is opened. How much content each has
 * is told nowhere, and any may have less than a full one. If the header tells of all content, the last block shows whether those
 * before it are full; else all are decompressed once.
 *
 * @see <a href="https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md">LZ4 Frame Format Description</a>
 */
final class Lz4Loader extends FrameLoader {
    private static final int MAGIC = 0x184D2204;
    private static final int DESCRIPTOR_AT = 4;
    private static final int VERSION = 0xC0;
    private static final int VERSION_1 = 0x40;
    private static final int INDEPENDENT = 0x20;
    private static final int BLOCK_CHECKSUMS = 0x10;
    private static final int CONTENT_SIZE = 0x08;
    private static final int CONTENT_CHECKSUM = 0x04;
    private static final int RESERVED = 0x02;
    private static final int DICTIONARY = 0x01;
    private static final int SHORTEST_HEADER = 7;
    private static final int CHECKSUM_BYTES = 4;

    private final boolean checked;
    private final FrameTable frames;

    private Lz4Loader(PageLoader source, FrameTable frames, boolean checked) {
        super(source, frames);
        this.frames = frames;
        this.checked = checked;
    }

    static Lz4Loader open(PageLoader source) throws IOException {
        // First, so that what is missing is missed first.
        XXHash32 hash = XXHashFactory.fastestInstance().hash32();
        if (source.size() < SHORTEST_HEADER || word(source, 0) != MAGIC) {
            throw new IOException(source + " is not a file of lz4: its first bytes are others");
        }
        int flags = word(source, DESCRIPTOR_AT) & 0xFF;
        int sizes = word(source, DESCRIPTOR_AT) >> 8 & 0xFF;
        if ((flags & VERSION) != VERSION_1 || (flags & (RESERVED | DICTIONARY)) != 0 || (sizes & 0x8F) != 0 || sizes >> 4 < 4) {
            throw new IOException(source + ": its header at offset 4 is broken, or needs a dictionary: 0x"
                    + Integer.toHexString(flags) + ", 0x" + Integer.toHexString(sizes));
        }
        if ((flags & INDEPENDENT) == 0) {
            throw new IOException(source + ": each block needs those before it; 'lz4 -BI' makes independent ones");
        }
        int header = (flags & CONTENT_SIZE) == 0 ? 2 : 2 + Long.BYTES;
        ByteBuffer descriptor = read(source, DESCRIPTOR_AT, header + 1);
        if ((byte) (hash.hash(descriptor, 0, header, 0) >> 8) != descriptor.get(header)) {
            throw new IOException(source + ": its header at offset 4 is broken: the checksum is another");
        }
        long size = (flags & CONTENT_SIZE) == 0 ? -1 : descriptor.getLong(2);
        return index(source, DESCRIPTOR_AT + header + 1L, flags, 1 << 8 + 2 * (sizes >> 4), size);
    }

    /** 1 << 16 for 4, 1 << 18 for 5 and so on. */
    private static Lz4Loader index(PageLoader source, long from, int flags, int blockBytes, long size) throws IOException {
        boolean checked = (flags & BLOCK_CHECKSUMS) != 0;
        int more = checked ? CHECKSUM_BYTES : 0;
        FrameTable blocks = new FrameTable();
        long at = from;
        for (int length = word(source, at); length != 0; length = word(source, at)) {
            int bytes = length & Integer.MAX_VALUE;
            if (bytes > blockBytes || bytes == 0) {
                throw new IOException(source + ": the block at offset " + at + " is broken: it tells of " + bytes + " bytes");
            }
            if (at + bytes + more > source.size() - 2L * Integer.BYTES) {
                throw new IOException(source + " is cut short: the block at offset " + at + " has " + bytes + " bytes, and the file "
                        + source.size());
            }
            // With its length, which tells whether it is compressed, and its checksum.
            blocks.add(at, Integer.BYTES + bytes + more, blockBytes);
            at += Integer.BYTES + bytes + more;
        }
        long end = at + Integer.BYTES + ((flags & CONTENT_CHECKSUM) == 0 ? 0 : CHECKSUM_BYTES);
        if (end != source.size()) {
            throw new IOException(source + (end > source.size() ? " is cut short: it ends before offset "
                    : " goes on behind the end of its first frame at offset ") + end);
        }
        Lz4Loader loader = new Lz4Loader(source, blocks, checked);
        loader.measure(size);
        return loader;
    }

    /** Sets the content lengths, which were taken for those of full blocks. */
    private void measure(long told) throws IOException {
        if (frames.count() > 0) {
            ByteBuffer content = ByteBuffer.allocateDirect(frames.contentLength(0));
            try (Worker worker = new Worker()) {
                int last = frames.count() - 1;
                if (told < 0 || told != frames.contentAt(last) + worker.decompress(last, content)) {
                    for (int block = 0; block <= last; block++) {
                        frames.measured(block, worker.decompress(block, content.clear()));
                    }
                } else {
                    frames.measured(last, (int) (told - frames.contentAt(last)));
                }
            }
        }
        if (told >= 0 && told != frames.size()) {
            throw new IOException(this + ": its header tells of " + told + " bytes, and its " + frames.count() + " blocks have "
                    + frames.size());
        }
    }

    private static int word(PageLoader source, long offset) throws IOException {
        if (offset > source.size() - Integer.BYTES) {
            throw new IOException(source + " is cut short: there is no end mark, and nothing at offset " + offset);
        }
        return read(source, offset, Integer.BYTES).getInt(0);
    }

    private static ByteBuffer read(PageLoader source, long offset, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
        source.load(offset, bytes);
        return bytes.flip();
    }

    @Override
    Decompressor decompressor() {
        LZ4SafeDecompressor blocks = LZ4Factory.fastestInstance().safeDecompressor();
        XXHash32 hash = XXHashFactory.fastestInstance().hash32();
        return new Decompressor() {
            @Override
            public int decompress(int block, ByteBuffer from, ByteBuffer to) throws IOException {
                from.order(ByteOrder.LITTLE_ENDIAN);
                int length = from.getInt(0);
                int bytes = from.limit() - Integer.BYTES - (checked ? CHECKSUM_BYTES : 0);
                if (checked && hash.hash(from, Integer.BYTES, bytes, 0) != from.getInt(Integer.BYTES + bytes)) {
                    throw new IOException("its checksum is another");
                }
                if (length < 0) {
                    int stored = Math.min(bytes, to.remaining());
                    to.put(to.position(), from, Integer.BYTES, stored);
                    return bytes;
                }
                return blocks.decompress(from, Integer.BYTES, bytes, to, to.position(), to.remaining());
            }

            @Override
            public void close() {
                // Holds nothing.
            }
        };
    }
}
