// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

/**
 * Pages that could not be loaded.
 *
 * @param offset where they begin, in bytes from the beginning of what is served
 * @param length in bytes
 * @param cause why
 */
public record LoadFailure(long offset, long length, Throwable cause) {
    @Override
    public String toString() {
        return "the pages at offset " + offset + ", " + length + " bytes, could not be loaded: " + cause;
    }
}
