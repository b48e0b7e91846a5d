// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/**
 * What happens when a page is touched that cannot be filled: its file was cut short, or the disk has an error. To let the fault
 * through to the JVM is not offered: its error comes late, after statements that ran on garbage, and may crash.
 */
public enum FailurePolicy {
    /** The process ends with one line on standard error that names the page, the source and the errno value. */
    ABORT,

    /**
     * The page reads as {@link #PATTERN} (one whose file is cut short in the very moment when it is copied: as the file went, and then
     * zeros), the failure is kept and given to a listener, and {@link Pager#check}, {@code fetch},
     * {@code prefetch} and {@code close} throw. For those who would rather go on, and who check.
     */
    FILL;

    /** What each eight bytes of a failed page read as, in the processor's byte order. */
    public static final long PATTERN = 0xFA17EDFA17EDFA17L;
}
