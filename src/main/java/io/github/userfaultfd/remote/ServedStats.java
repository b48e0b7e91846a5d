// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

/**
 * What was done for a process, since the beginning.
 *
 * @param faults times one of its threads had to wait for a page
 * @param loads calls of the loader
 * @param pages put in place, for faults and ahead of them
 * @param prefetchedPages of these, the ones put in place by a prefetch
 * @param presentPages loaded in vain, because they were there already
 * @param removedPages that it gave back, and that read as zeros since
 * @param retried times the kernel asked to try again
 * @param failedPages that could not be loaded
 * @param loadNanoseconds spent in the loader, by all threads
 */
public record ServedStats(long faults, long loads, long pages, long prefetchedPages, long presentPages, long removedPages,
        long retried, long failedPages, long loadNanoseconds) {}
