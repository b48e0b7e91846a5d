// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Makes pages of another process's memory: reads, decompresses, decrypts or fetches them. Called by the threads of a
 * {@link RemotePager}, several at once.
 */
@FunctionalInterface
public interface PageLoader {
    /**
     * Makes the bytes of one page, or of as many that follow each other as {@link #runBytes} allows. It may block; only those
     * who wait for these very pages wait as long.
     *
     * <p>A load has failed, and its pages get what the {@link LoadFailurePolicy} says, if it throws anything, if it puts fewer
     * bytes than remain in the buffer, or if it takes longer than {@link RemotePagerBuilder#loadTimeout}: then the thread is
     * interrupted, and what the load still does has no effect.
     *
     * @param offset where the first byte is, in bytes from the beginning of what is served
     * @param page a direct buffer with room for exactly what is wanted, in the processor's byte order. All of it has to be
     *     put: the position tells how much was, so absolute puts alone are not enough. Not to be used after the return
     * @throws IOException if the bytes cannot be had
     */
    void load(long offset, ByteBuffer page) throws IOException;

    /**
     * {@return how many bytes a call of {@link #load} can be asked for at most; less than a page means one page, which is what
     * a loader that does not override this gets}
     */
    default int runBytes() {
        return 0;
    }

    /** {@return how many bytes there are to load from; without end unless overridden} */
    default long size() {
        return Long.MAX_VALUE;
    }
}
