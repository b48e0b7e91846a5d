// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class FeatureTest {
    @Test
    void eachFeatureNamesTheKernelThatBroughtIt() {
        assertEquals(List.of("PAGEFAULT_FLAG_WP 5.7", "EVENT_FORK 4.11", "EVENT_REMAP 4.11", "EVENT_REMOVE 4.11",
                "MISSING_HUGETLBFS 4.11", "MISSING_SHMEM 4.11", "EVENT_UNMAP 4.11", "SIGBUS 4.14", "THREAD_ID 4.14",
                "MINOR_HUGETLBFS 5.13", "MINOR_SHMEM 5.14", "EXACT_ADDRESS 5.18", "WP_HUGETLBFS_SHMEM 5.19", "WP_UNPOPULATED 6.4",
                "POISON 6.6", "WP_ASYNC 6.7", "MOVE 6.8", "RWP 7.3", "RWP_ASYNC 7.3"),
                Stream.of(Feature.values()).map(each -> each + " " + each.since()).toList());
    }

    @Test
    void eachIoctlNamesTheKernelThatBroughtIt() {
        assertEquals(List.of("API 4.3", "REGISTER 4.3", "UNREGISTER 4.3", "WAKE 4.3", "COPY 4.3", "ZEROPAGE 4.3", "MOVE 6.8",
                "WRITEPROTECT 5.7", "CONTINUE 5.13", "POISON 6.6", "RWPROTECT 7.3", "SET_MODE 7.3"),
                Stream.of(Ioctl.values()).map(each -> each + " " + each.since()).toList());
    }

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
