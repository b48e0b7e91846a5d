// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.Ranges;

/**
 * A registered range of another process's memory, and what belongs there.
 *
 * @param address the first byte, in that process; a multiple of the page size
 * @param length in bytes, a multiple of the page size
 * @param offset where its content begins, in bytes from the beginning of what is served; a multiple of the page size
 * @param pageSize of the mapping, in bytes
 */
public record RemoteMapping(long address, long length, long offset, long pageSize) {
    /**
     * Checks the numbers.
     *
     * @param address the first byte, in that process; a multiple of the page size
     * @param length in bytes, a multiple of the page size
     * @param offset where its content begins, in bytes from the beginning of what is served; a multiple of the page size
     * @param pageSize of the mapping, in bytes; a power of two, at least the system's
     */
    public RemoteMapping {
        if (Long.bitCount(pageSize) != 1 || pageSize < Ranges.PAGE || pageSize > 1 << 30) {
            throw new IllegalArgumentException("a page size is a power of two between " + Ranges.PAGE + " and " + (1 << 30)
                    + ", not " + pageSize + " bytes");
        }
        Ranges.checkPages("mapping", "address", address, length, pageSize);
        Ranges.checkPages("mapping", "offset", offset, length, pageSize);
        if (length / pageSize > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("mapping: " + length + " bytes are more than " + Integer.MAX_VALUE + " pages of "
                    + pageSize + " bytes");
        }
    }

    /** {@return the address behind the last byte} */
    public long end() {
        return address + length;
    }

    boolean overlaps(RemoteMapping other) {
        return address < other.end() && other.address < end();
    }

    @Override
    public String toString() {
        return "RemoteMapping[0x" + Long.toHexString(address) + " to 0x" + Long.toHexString(end()) + ", content from offset "
                + offset
                + ", pages of " + pageSize + "]";
    }
}
