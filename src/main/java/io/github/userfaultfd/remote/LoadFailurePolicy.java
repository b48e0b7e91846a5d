// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

/**
 * What the process whose page it is gets when a page cannot be loaded. It never gets a silent zero, and never waits for ever.
 */
public enum LoadFailurePolicy {
    /**
     * SIGKILL, after a line in the log that names the page and the reason: no wrong byte is ever used. The default. A process
     * that cannot be killed, because it is another user's, or was forked by the one that is served, gets what {@link #POISON}
     * says.
     */
    END,

    /**
     * The page is poisoned, {@code UFFDIO_POISON}: whoever touches it gets SIGBUS, a system call EFAULT. On kernels before
     * 6.6, which cannot, like {@link #END}; and like {@link #FILL} if the process cannot be killed either.
     */
    POISON,

    /** The page reads as {@link #PATTERN}, and the failure is kept and told: for those who would rather go on and who check. */
    FILL;

    /** What each eight bytes of a failed page read as under {@link #FILL}; the same as in paging. */
    public static final long PATTERN = 0xFA17EDFA17EDFA17L;
}
