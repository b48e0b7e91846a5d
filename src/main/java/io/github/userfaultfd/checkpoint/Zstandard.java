// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import java.io.Closeable;
import java.nio.ByteBuffer;

/** Compressed runs, by {@code com.github.luben:zstd-jni}, which only this class knows. For one thread. */
final class Zstandard implements Closeable {
    /** The fastest of the ordinary levels: a checkpoint is taken often and read once. */
    private static final int LEVEL = 1;

    private final ZstdCompressCtx compressor = new ZstdCompressCtx().setLevel(LEVEL);
    private final ZstdDecompressCtx decompressor = new ZstdDecompressCtx();

    private Zstandard() {}

    /**
     * Loads the library.
     *
     * @throws IllegalStateException naming the artifact that is missing
     */
    static Zstandard load() {
        try {
            return new Zstandard();
        } catch (NoClassDefFoundError e) {
            throw new IllegalStateException("compression ZSTD needs com.github.luben:zstd-jni on the class path or module path", e);
        }
    }

    /** {@return how large a buffer has to be for so many bytes compressed} */
    static int bound(int bytes) {
        return Math.toIntExact(Zstd.compressBound(bytes));
    }

    /** Compresses a direct buffer's remaining bytes into another one, from its start; how many they are there. */
    int compress(ByteBuffer from, ByteBuffer to) {
        return compressor.compressDirectByteBuffer(to, 0, to.capacity(), from, from.position(), from.remaining());
    }

    /** The way back; how many bytes came out. Fails if they do not fit. */
    int decompress(ByteBuffer from, ByteBuffer to) {
        return decompressor.decompressDirectByteBuffer(to, to.position(), to.remaining(), from, from.position(), from.remaining());
    }

    @Override
    public void close() {
        compressor.close();
        decompressor.close();
    }
}
