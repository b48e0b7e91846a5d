// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Makes compressed files whose pages can be had one by one, {@link PageLoaders#zstd}: zstd's seekable format, which {@code zstd
 * -d} reads as well. Needs {@code com.github.luben:zstd-jni} on the class path or module path.
 */
public final class ZstdFile {
    /** How much content a frame has unless told otherwise: as much as {@code firecracker} loads for one fault. */
    public static final int FRAME_BYTES = 64 * 1024;

    /** How hard it is compressed unless told otherwise. */
    public static final int LEVEL = 3;

    private static final int CHECKSUM_BYTES = 4;

    private final Path file;
    private final int level;
    private final int frameBytes;
    private ByteBuffer table = ByteBuffer.allocate(0);

    private ZstdFile(Path file, int level, int frameBytes) {
        this.file = file;
        this.level = level;
        this.frameBytes = frameBytes;
    }

    /**
     * Compresses a file with {@link #LEVEL} and {@link #FRAME_BYTES}.
     *
     * @param file to be read
     * @param compressed to be made, under another name first; a file that is there is replaced
     * @throws IOException if one of them cannot be read or written
     */
    public static void compress(Path file, Path compressed) throws IOException {
        compress(file, compressed, LEVEL, FRAME_BYTES);
    }

    /**
     * Compresses a file, on this thread.
     *
     * @param file to be read
     * @param compressed to be made, under another name first; a file that is there is replaced
     * @param level how hard, as zstd counts
     * @param frameBytes content of a frame, a power of two from 4 KiB to 64 MiB. A page costs the decompression of its frame
     * @throws IOException if one of them cannot be read or written
     */
    public static void compress(Path file, Path compressed, int level, int frameBytes) throws IOException {
        if (Integer.bitCount(frameBytes) != 1 || frameBytes < 4096 || frameBytes > FrameLoader.LARGEST_FRAME) {
            throw new IllegalArgumentException("a frame has a power of two from 4096 to " + FrameLoader.LARGEST_FRAME
                    + " bytes, not " + frameBytes);
        }
        PageLoaders.needing(PageLoaders.ZSTD, "compressing", () -> {
            if (level < Zstd.minCompressionLevel() || level > Zstd.maxCompressionLevel()) {
                throw new IllegalArgumentException("level " + level + " is not between " + Zstd.minCompressionLevel() + " and "
                        + Zstd.maxCompressionLevel());
            }
            new ZstdFile(file, level, frameBytes).compressTo(compressed);
            return compressed;
        });
    }

    private void compressTo(Path compressed) throws IOException {
        Path partial = compressed.resolveSibling(compressed.getFileName() + ".part");
        try (FileChannel in = FileChannel.open(file);
                FileChannel out = FileChannel.open(partial, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            long size = in.size();
            long frames = (size + frameBytes - 1) / frameBytes;
            if (frames > ZstdLoader.MOST_FRAMES) {
                throw new IOException(file + " needs " + frames + " frames, which are more than " + ZstdLoader.MOST_FRAMES
                        + ": larger frames are needed");
            }
            table = ByteBuffer.allocate((int) frames * 3 * Integer.BYTES + ZstdLoader.HEADER_BYTES + ZstdLoader.FOOTER_BYTES)
                    .order(ByteOrder.LITTLE_ENDIAN);
            table.putInt(ZstdLoader.SKIPPABLE_MAGIC).putInt(table.capacity() - ZstdLoader.HEADER_BYTES);
            writeFrames(in, size, out);
            table.putInt((int) frames).put((byte) ZstdLoader.HAS_CHECKSUMS).putInt(ZstdLoader.SEEKABLE_MAGIC).flip();
            writeAll(out, table);
            // Or a crash could leave the name with a file that has nothing, in the place of a good one.
            out.force(true);
            Files.move(partial, compressed, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException | RuntimeException e) {
            Files.deleteIfExists(partial);
            if (e instanceof ZstdException) {
                throw new IOException(file + ": " + e.getMessage(), e);
            }
            throw e;
        }
    }

    private void writeFrames(FileChannel in, long size, FileChannel out) throws IOException {
        ByteBuffer content = ByteBuffer.allocateDirect(frameBytes);
        ByteBuffer frame = ByteBuffer.allocateDirect((int) Zstd.compressBound(frameBytes)).order(ByteOrder.LITTLE_ENDIAN);
        try (ZstdCompressCtx context = new ZstdCompressCtx()) {
            context.setLevel(level).setChecksum(true);
            for (long at = 0; at < size; at += content.limit()) {
                content.clear().limit((int) Math.min(frameBytes, size - at));
                while (content.hasRemaining()) {
                    if (in.read(content, at + content.position()) < 0) {
                        throw new EOFException(file + " has become shorter: nothing at offset " + (at + content.position()));
                    }
                }
                int length = context.compressDirectByteBuffer(frame.clear(), 0, frame.capacity(), content, 0, content.limit());
                // The table's checksum of a frame is the one that the frame ends with.
                table.putInt(length).putInt(content.limit()).putInt(frame.getInt(length - CHECKSUM_BYTES));
                writeAll(out, frame.limit(length));
            }
        }
    }

    private static void writeAll(FileChannel out, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            out.write(bytes);
        }
    }
}
