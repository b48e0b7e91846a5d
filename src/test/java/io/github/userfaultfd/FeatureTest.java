// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class FeatureTest {
    @Test
    void bitsAreInTheKernelsOrder() {
        for (Feature each : Feature.values()) {
            assertEquals(1L << each.ordinal(), each.bit(), each.name());
        }
        assertEquals(19, Feature.values().length);
    }

    @Test
    void aMaskAndItsFeaturesAreTheSame() {
        Set<Feature> some = EnumSet.of(Feature.SIGBUS, Feature.MOVE);
        assertEquals(some, Feature.of(Feature.mask(some)));
    }

    @Test
    void unknownBitsHaveNoConstant() {
        assertEquals(EnumSet.of(Feature.PAGEFAULT_FLAG_WP), Feature.of(1L << 62 | 1));
    }

    @Test
    void ioctlsAreBitsByTheirNumber() {
        for (Ioctl each : Ioctl.values()) {
            assertEquals(Set.of(each), Ioctl.of(1L << each.number()), each.name());
            assertEquals(1L << each.number(), Ioctl.mask(List.of(each)), each.name());
        }
    }
}
