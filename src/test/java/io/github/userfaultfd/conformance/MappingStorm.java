// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import java.util.SplittableRandom;

/** What may happen to mappings that are being read: split and merged by mprotect(2), and collapsed into huge pages. */
public final class MappingStorm {
    private static final long HUGE = 2 << 20;

    private final long address;
    private final long length;
    private final long page;
    private final SplittableRandom random = new SplittableRandom(11);
    private long collapsed;

    /** A storm over a range that stays readable and writable all the time. */
    public MappingStorm(long address, long length, long page) {
        this.address = address;
        this.length = length;
        this.page = page;
    }

    /** One change of each kind; a change of protection has to succeed, a collapse need not. */
    public void once() {
        long pages = length / page;
        long first = random.nextLong(pages);
        long bytes = (1 + random.nextLong(Math.min(64, pages - first))) * page;
        for (int protection : new int[] {Faults.PROT_READ_WRITE_EXEC, Faults.PROT_READ_WRITE}) {
            int failed = Faults.mprotect(address + first * page, bytes, protection);
            if (failed < 0) {
                throw new AssertionError("mprotect: errno " + -failed);
            }
        }
        long aligned = (address + HUGE - 1) / HUGE * HUGE;
        if (aligned + HUGE <= address + length && Faults.madvise(aligned, HUGE, Faults.MADV_COLLAPSE) == 0) {
            collapsed++;
        }
    }

    /** How many collapses succeeded. */
    public long collapsed() {
        return collapsed;
    }
}
