// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import org.openjdk.jmh.runner.options.TimeValue;

/** How much is measured. */
enum Scale {
    /** Only whether everything runs. */
    TINY(1, 16, false, 1, 1, 1, TimeValue.milliseconds(20)),
    /** About five minutes. */
    QUICK(21, 1, false, 1, 2, 3, TimeValue.milliseconds(400)),
    /** The whole matrix, with more of each. */
    FULL(15, 1, true, 3, 3, 5, TimeValue.seconds(1));

    final int rounds;
    final int divisor;
    final boolean full;
    final int forks;
    final int warmups;
    final int iterations;
    final TimeValue time;

    Scale(int rounds, int divisor, boolean full, int forks, int warmups, int iterations, TimeValue time) {
        this.rounds = rounds;
        this.divisor = divisor;
        this.full = full;
        this.forks = forks;
        this.warmups = warmups;
        this.iterations = iterations;
        this.time = time;
    }
}
