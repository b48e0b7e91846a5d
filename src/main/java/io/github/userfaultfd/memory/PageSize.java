// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.memory;

import io.github.userfaultfd.internal.Ranges;

/**
 * A size of memory pages.
 *
 * @param bytes a power of two
 */
public record PageSize(long bytes) {
    /**
     * Checks the size.
     *
     * @param bytes a power of two
     */
    public PageSize {
        if (bytes <= 0 || Long.bitCount(bytes) != 1) {
            throw new IllegalArgumentException("a page size is a power of two, not " + bytes + " bytes");
        }
    }

    /**
     * {@return a page size}
     *
     * @param bytes a power of two, such as {@code 2 << 20} for the huge pages of most processors
     */
    public static PageSize of(long bytes) {
        return new PageSize(bytes);
    }

    /** {@return the size of the system's normal pages, getpagesize(2)} */
    public static PageSize system() {
        return new PageSize(Ranges.PAGE);
    }
}
