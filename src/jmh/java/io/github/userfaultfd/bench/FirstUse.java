// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.MemoryRegion;

/** Prints how many milliseconds the first use of the library takes in this JVM: finding, extracting and loading its native part. */
public final class FirstUse {
    private FirstUse() {}

    /**
     * Maps a page.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) throws Exception {
        long start = System.nanoTime();
        MemoryRegion.anonymous(1).close();
        System.out.println((System.nanoTime() - start) / 1e6);
    }
}
