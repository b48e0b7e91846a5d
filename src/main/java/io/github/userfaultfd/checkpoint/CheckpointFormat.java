// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * The numbers of the checkpoint file format, docs/checkpoints.md: runs of pages, then their index, then a trailer, all little endian.
 * The trailer comes last, so that a file is written from front to end and one that was cut short has none.
 */
final class CheckpointFormat {
    static final Pattern NAME = Pattern.compile("(\\d{10,18})\\.(full|increment)");
    static final String PARTIAL = ".partial";

    /** "UFFDCKPT", read as a little-endian number. */
    static final long MAGIC = 0x54504B4344464655L;
    static final int VERSION = 1;

    static final int TRAILER_MAGIC = 0;
    static final int TRAILER_VERSION = 8;
    static final int TRAILER_COMPRESSION = 12;
    static final int TRAILER_PAGE_SIZE = 16;
    static final int TRAILER_REGION_SIZE = 24;
    static final int TRAILER_NUMBER = 32;
    static final int TRAILER_BASE_NUMBER = 40;
    static final int TRAILER_ID = 48;
    static final int TRAILER_BASE_ID = 56;
    static final int TRAILER_CREATED = 64;
    static final int TRAILER_DATA_LENGTH = 72;
    static final int TRAILER_RUNS = 80;
    static final int TRAILER_INDEX_CRC = 88;
    static final int TRAILER_CRC = 92;
    static final int TRAILER_LENGTH = 96;

    static final int RUN_REGION_OFFSET = 0;
    static final int RUN_FILE_OFFSET = 8;
    static final int RUN_BYTES = 16;
    static final int RUN_STORED = 20;
    static final int RUN_CRC = 24;
    static final int RUN_RESERVED = 28;
    static final int RUN_LENGTH = 32;

    static final int COMPRESSION_NONE = 0;
    static final int COMPRESSION_ZSTD = 1;

    /** A run is checked as a whole before a page of it is used, so a longer one makes a fault slower and the index shorter. */
    private static final long LONGEST_RUN = 64 * 1024;

    /** How many runs a file can have: an index that is one array. */
    static final int MOST_RUNS = (1 << 30) / RUN_LENGTH;

    /** How much of an index is read or written at a time. */
    static final int PIECE = 1 << 20;

    /** Larger pages exist, and a run is one buffer. */
    static final long LARGEST_PAGE = 1 << 30;

    private CheckpointFormat() {}

    /** {@return how long a run can be, in bytes} */
    static int longestRun(long pageSize) {
        if (pageSize > LARGEST_PAGE) {
            throw new IllegalArgumentException("a checkpoint has pages of at most " + LARGEST_PAGE + " bytes, the region has pages of "
                    + pageSize);
        }
        return Math.toIntExact(Math.max(LONGEST_RUN / pageSize, 1) * pageSize);
    }

    /** {@return the name of a complete file} */
    static String name(long number, boolean full) {
        return String.format(Locale.ROOT, "%010d.%s", number, full ? "full" : "increment");
    }

    /** {@return the CRC-32C of a buffer's remaining bytes, which stay remaining} */
    static int crc(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.duplicate());
        return (int) crc.getValue();
    }

    /** {@return what to throw about a file that is not as it was written} */
    static UffdException damaged(Path file, long offset, String what) {
        return new UffdException("checkpoint", Abi.EBADMSG, file + " at offset " + offset, what);
    }
}
