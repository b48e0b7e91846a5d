// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Which part of an event is new, in orders that several threads of a process can bring about. */
class LateUnmapsTest {
    private final LateUnmaps late = new LateUnmaps(true);

    private static String news(LateUnmaps unmaps, long start, long end) {
        return unmaps.news(start, end).stream().map(each -> each[0] + "-" + each[1]).collect(Collectors.joining(" "));
    }

    @Test
    void whatIsExpectedIsNoNewsOnce() {
        late.expect(10, 20);
        assertEquals("", news(late, 10, 20));
        assertEquals("10-20", news(late, 10, 20));
    }

    @Test
    void whatIsExpectedTwiceIsNoNewsTwice() {
        late.expect(10, 20);
        late.expect(10, 20);
        assertEquals("", news(late, 10, 20));
        assertEquals("", news(late, 10, 20));
        assertEquals("10-20", news(late, 10, 20));
    }

    @Test
    void theRestOfALargerEventIsNews() {
        late.expect(10, 20);
        late.expect(30, 40);
        assertEquals("0-10 20-30 40-50", news(late, 0, 50));
        assertEquals("0-50", news(late, 0, 50));
    }

    @Test
    void theRestOfWhatIsExpectedIsExpectedStill() {
        late.expect(10, 40);
        assertEquals("", news(late, 20, 30));
        assertEquals("0-10 20-30 40-50", news(late, 0, 50));
    }

    @Test
    void nothingIsExpectedOfAKernelThatDoesNotTell() {
        LateUnmaps silent = new LateUnmaps(false);
        silent.expect(10, 20);
        assertEquals("10-20", news(silent, 10, 20));
    }
}
