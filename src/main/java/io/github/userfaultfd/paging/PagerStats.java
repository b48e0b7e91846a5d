// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/**
 * What a pager has done since it was started. The counters are read one after another while faults go on, so they may be a
 * few faults apart.
 *
 * @param faults times a thread had to wait for a page
 * @param pages pages filled, for faults and ahead of them
 * @param bytes bytes filled
 * @param alreadyPresent times a page was found there already, filled by somebody else meanwhile
 * @param retried fills that the kernel asked to try again
 * @param failed fills that failed
 * @param faultNanos time spent on resolving faults, in nanoseconds, without the way to the handler and back; made up from
 *     each thread's first fault and every eighth after it
 */
public record PagerStats(long faults, long pages, long bytes, long alreadyPresent, long retried, long failed, long faultNanos) {}
