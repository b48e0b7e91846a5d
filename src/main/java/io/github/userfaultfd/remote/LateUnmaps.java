// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.ArrayList;
import java.util.List;

/**
 * Memory that is known to be unmapped, of which the kernel has not told yet. It tells after it has done it, when something else may
 * have come to these addresses, and of that before. Ranges are a start and an end. For one thread.
 */
final class LateUnmaps {
    private final boolean told;
    private List<long[]> owed = new ArrayList<>();

    /** The argument says whether the kernel tells of unmapped memory at all. */
    LateUnmaps(boolean told) {
        this.told = told;
    }

    /** One event more will tell of a range. */
    void expect(long start, long end) {
        if (told) {
            owed.add(new long[] {start, end});
        }
    }

    /** {@return of a range that an event tells of, what was not expected} What was is expected once less. */
    List<long[]> news(long start, long end) {
        List<long[]> news = List.of(new long[] {start, end});
        List<long[]> stillOwed = new ArrayList<>();
        for (long[] each : owed) {
            List<long[]> left = List.of(each);
            for (long[] range : news) {
                left = without(left, range);
            }
            news = without(news, each);
            stillOwed.addAll(left);
        }
        owed = stillOwed;
        return news;
    }

    private static List<long[]> without(List<long[]> ranges, long[] gone) {
        List<long[]> left = new ArrayList<>();
        for (long[] each : ranges) {
            left.add(new long[] {each[0], Math.min(each[1], gone[0])});
            left.add(new long[] {Math.max(each[0], gone[1]), each[1]});
        }
        left.removeIf(each -> each[0] >= each[1]);
        return left;
    }
}
