// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

/**
 * How a page is put in place: the mode flags of the filling ioctls. Not every ioctl has every flag; one that does not is an
 * {@link IllegalArgumentException}.
 */
public enum ResolveMode {
    /** Waiting threads sleep on until {@link Uffd#wake}. {@code UFFDIO_*_MODE_DONTWAKE}, all ioctls that fill. */
    DONT_WAKE,

    /** The page is write-protected from the beginning. {@code UFFDIO_COPY_MODE_WP} (5.7), {@code UFFDIO_CONTINUE_MODE_WP} (6.4). */
    WRITE_PROTECT,

    /** Missing source pages are left out instead of ENOENT. {@code UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES} (6.8). */
    ALLOW_SOURCE_HOLES;

    /** The kernel's bits; -1 as a bit says that the operation does not have the mode. */
    static long mask(String operation, ResolveMode[] modes, long dontWake, long writeProtect, long holes) {
        long mask = 0;
        for (ResolveMode each : modes) {
            long bit = switch (each) {
                case DONT_WAKE -> dontWake;
                case WRITE_PROTECT -> writeProtect;
                case ALLOW_SOURCE_HOLES -> holes;
            };
            if (bit < 0) {
                throw new IllegalArgumentException(operation + " has no mode " + each);
            }
            mask |= bit;
        }
        return mask;
    }
}
