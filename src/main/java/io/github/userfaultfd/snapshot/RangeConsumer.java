// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

/** Takes ranges of a region, one call each, in ascending order. */
@FunctionalInterface
public interface RangeConsumer {
    /**
     * Takes one range.
     *
     * @param offset where it begins, in bytes from the region's start
     * @param length in bytes
     */
    void accept(long offset, long length);
}
