// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import java.nio.ByteBuffer;

/** What a checkpoint file says of its runs of pages. */
public final class CheckpointIndex {
    private final ByteBuffer bytes;
    private long regionEnd;
    private long fileEnd;

    CheckpointIndex(ByteBuffer bytes) {
        this.bytes = bytes;
    }

    /** {@return the first run that cannot be, or how many there are} */
    int firstBad(boolean full, boolean compressed, long pageSize, long regionSize) {
        long longest = CheckpointFormat.longestRun(pageSize);
        for (int i = 0; i < runs(); i++) {
            boolean whole = offset(i) % pageSize == 0 && length(i) % pageSize == 0 && length(i) > 0 && length(i) <= longest;
            boolean placed = full ? offset(i) == regionEnd : offset(i) >= regionEnd;
            boolean stored = stored(i) == 0 || stored(i) == length(i) || compressed && stored(i) > 0 && stored(i) < length(i);
            if (!whole || !placed || !stored || offset(i) > regionSize - length(i) || fileOffset(i) != fileEnd
                    || bytes.getInt(at(i) + CheckpointFormat.RUN_RESERVED) != 0) {
                return i;
            }
            regionEnd = offset(i) + length(i);
            fileEnd += stored(i);
        }
        return runs();
    }

    /** {@return where the last run ends in the region, once all were looked at} */
    long regionEnd() {
        return regionEnd;
    }

    /** {@return where the last run ends in the file, once all were looked at} */
    long fileEnd() {
        return fileEnd;
    }

    private static int at(int run) {
        return run * CheckpointFormat.RUN_LENGTH;
    }

    public int runs() {
        return bytes.limit() / CheckpointFormat.RUN_LENGTH;
    }

    /** {@return where a run begins, in bytes from the region's start} */
    public long offset(int run) {
        return bytes.getLong(at(run) + CheckpointFormat.RUN_REGION_OFFSET);
    }

    /** {@return how many bytes of the region a run has} */
    public int length(int run) {
        return bytes.getInt(at(run) + CheckpointFormat.RUN_BYTES);
    }

    /** {@return how many bytes of the file a run has: 0 for zeros, less than its length if it is compressed} */
    public int stored(int run) {
        return bytes.getInt(at(run) + CheckpointFormat.RUN_STORED);
    }

    public long fileOffset(int run) {
        return bytes.getLong(at(run) + CheckpointFormat.RUN_FILE_OFFSET);
    }

    /** {@return the CRC-32C of what the file has of a run} */
    public int crc(int run) {
        return bytes.getInt(at(run) + CheckpointFormat.RUN_CRC);
    }
}
