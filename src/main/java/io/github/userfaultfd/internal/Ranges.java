// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

/** Checks of addresses, lengths and offsets, with messages that name what was wrong. */
public final class Ranges {
    /** The system's page size in bytes. */
    public static final long PAGE = Native.pageSize();

    private Ranges() {}

    /**
     * Checks a range of whole pages.
     *
     * @throws IllegalArgumentException naming the operation and the reason
     */
    public static void checkPages(String operation, long address, long length) {
        checkPages(operation, "address", address, length, PAGE);
    }

    /**
     * Checks a range of whole pages of a given size.
     *
     * @param what the name of the first number: an address or an offset
     * @throws IllegalArgumentException naming the operation and the reason
     */
    public static void checkPages(String operation, String what, long address, long length, long page) {
        checkLength(operation, what, address, length);
        if (address % page != 0) {
            throw bad(operation, what, address, length, "the " + what + " is not a multiple of the page size, " + page + " bytes");
        }
        if (length % page != 0) {
            throw bad(operation, what, address, length, "the length is not a multiple of the page size, " + page + " bytes");
        }
    }

    /**
     * Checks a range of bytes: not negative, not empty, not beyond the end of the number space.
     *
     * @throws IllegalArgumentException naming the operation and the reason
     */
    public static void checkLength(String operation, String what, long address, long length) {
        if (address < 0) {
            throw bad(operation, what, address, length, "the " + what + " is negative");
        }
        if (length <= 0) {
            throw bad(operation, what, address, length, length == 0 ? "the length is zero" : "the length is negative");
        }
        if (address + length < 0) {
            throw bad(operation, what, address, length, what + " + length overflows");
        }
    }

    /**
     * Checks that a range of bytes lies inside a region.
     *
     * @throws IndexOutOfBoundsException naming the operation, the range and the region's size
     */
    public static void checkInside(String operation, long offset, long length, long size) {
        if (offset < 0 || length < 0 || offset > size - length) {
            throw new IndexOutOfBoundsException(operation + ": offset " + offset + ", length " + length
                    + " is not inside the region of " + size + " bytes");
        }
    }

    /** {@return an address range for messages} */
    public static String text(long address, long length) {
        return "at 0x" + Long.toHexString(address) + ", " + length + " bytes";
    }

    /** {@return bytes rounded up to whole pages} */
    public static long roundUp(String operation, long bytes, long page) {
        if (bytes <= 0) {
            throw new IllegalArgumentException(operation + ": the size has to be positive, not " + bytes + " bytes");
        }
        if (bytes > Long.MAX_VALUE - (page - 1)) {
            throw new IllegalArgumentException(operation + ": " + bytes + " bytes overflow when rounded up to whole pages");
        }
        return (bytes + page - 1) / page * page;
    }

    private static IllegalArgumentException bad(String operation, String what, long address, long length, String why) {
        String first = what.equals("address") ? "0x" + Long.toHexString(address) : Long.toString(address);
        return new IllegalArgumentException(operation + ": " + what + " " + first + ", length " + length + ": " + why);
    }
}
