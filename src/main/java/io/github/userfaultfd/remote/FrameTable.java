// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.Arrays;

/** Where the frames of a compressed file are, and which content each has. Filled by one thread, then for any number. */
final class FrameTable {
    private static final int FIRST_ROOM = 64;

    private long[] starts = new long[FIRST_ROOM];
    private int[] lengths = new int[FIRST_ROOM];
    private long[] contents = new long[FIRST_ROOM];
    private int count;

    /** Adds a frame behind the content of those before it. */
    void add(long start, int compressedLength, int contentLength) {
        if (count + 1 == starts.length) {
            starts = Arrays.copyOf(starts, 2 * count);
            lengths = Arrays.copyOf(lengths, 2 * count);
            contents = Arrays.copyOf(contents, 2 * count);
        }
        starts[count] = start;
        lengths[count] = compressedLength;
        contents[count + 1] = contents[count] + contentLength;
        count++;
    }

    /** A frame has another content length than was thought; each behind it has to be measured as well. */
    void measured(int frame, int contentLength) {
        contents[frame + 1] = contents[frame] + contentLength;
    }

    int count() {
        return count;
    }

    /** {@return how much content there is} */
    long size() {
        return contents[count];
    }

    long start(int frame) {
        return starts[frame];
    }

    int compressedLength(int frame) {
        return lengths[frame];
    }

    long contentAt(int frame) {
        return contents[frame];
    }

    int contentLength(int frame) {
        return (int) (contents[frame + 1] - contents[frame]);
    }

    /** {@return the frame that has a byte of the content; never one without content} */
    int at(long offset) {
        int low = 0;
        int high = count;
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            if (contents[middle] <= offset) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return low;
    }
}
