// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/**
 * What becomes of the pages still missing when a pager is closed. Simply to stop is not offered: the kernel would let them
 * read as zeros.
 */
public enum Close {
    /** They are filled, however many there are; the region stays usable and is ordinary memory afterwards. */
    FILL,

    /**
     * The whole region goes at once, its present pages too: nobody may use it afterwards. A late access meets SIGBUS, which
     * <b>may crash the JVM</b>, as one to a truncated mapped file may; it never sees a wrong byte.
     */
    DETACH
}
