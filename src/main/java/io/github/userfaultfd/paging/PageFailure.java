// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import io.github.userfaultfd.internal.Errno;

/**
 * A page that could not be filled, and is not what the source has: it reads as {@link FailurePolicy#FILL} says.
 *
 * @param offset where it begins, in bytes from the region's start
 * @param length in bytes
 * @param errno the kernel's error number of the latest failure
 */
public record PageFailure(long offset, long length, int errno) {
    @Override
    public String toString() {
        return "PageFailure[offset " + offset + ", " + length + " bytes: " + Errno.name(errno) + "]";
    }
}
