// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.concurrent.atomic.LongAdder;

/** What {@link ServedStats} are made of. */
final class Counters {
    final LongAdder faults = new LongAdder();
    final LongAdder loads = new LongAdder();
    final LongAdder pages = new LongAdder();
    final LongAdder prefetched = new LongAdder();
    final LongAdder present = new LongAdder();
    final LongAdder removed = new LongAdder();
    final LongAdder retried = new LongAdder();
    final LongAdder failed = new LongAdder();
    final LongAdder loadNanos = new LongAdder();

    ServedStats stats() {
        return new ServedStats(faults.sum(), loads.sum(), pages.sum(), prefetched.sum(), present.sum(), removed.sum(),
                retried.sum(), failed.sum(), loadNanos.sum());
    }
}
