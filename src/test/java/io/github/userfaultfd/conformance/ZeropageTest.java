// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.support.Needs;
import java.util.List;
import java.util.Set;

/** UFFDIO_ZEROPAGE fills a missing page with zeros and a waiting reader sees them; huge pages do not have it. */
@Scenario("zeropage")
class ZeropageTest {
    @EachMemory
    void zeropage(MemoryKind kind) throws Exception {
        Needs.features(kind.missing().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            Set<Ioctl> ioctls = uffd.register(memory, RegisterMode.MISSING);
            assertEquals(!kind.isHuge(), ioctls.contains(Ioctl.ZEROPAGE));
            if (kind.isHuge()) {
                UffdException refused = assertThrows(UffdException.class, () -> uffd.zeropage(memory.address(), memory.page));
                assertEquals(Abi.EINVAL, refused.errno());
                return;
            }
            assertEquals(memory.page, uffd.zeropage(memory.address(), memory.page));
            memory.assertFilled(0, 0);
            assertEquals(Uffd.EXISTS, uffd.tryZeropage(memory.address(), memory.page));
            UffdException exists = assertThrows(UffdException.class, () -> uffd.zeropage(memory.address(), memory.page));
            assertEquals(Abi.EEXIST, exists.errno());
            resolvesAFault(memory, uffd);
        }
    }

    private static void resolvesAFault(TestMemory memory, CoveredUffd uffd) throws Exception {
        try (Steps.Job reader = new Steps().read(memory.at(1)).read(memory.at(2)).start()) {
            Event.PageFault fault = uffd.awaitEvent(Event.PageFault.class);
            assertEquals(new Event.PageFault(memory.at(1), Event.PageFault.Kind.MISSING, false, 0), fault);
            reader.assertAsleep();
            uffd.zeropage(memory.at(1), memory.page);
            assertEquals(memory.at(2), uffd.awaitEvent(Event.PageFault.class).address());
            uffd.zeropage(memory.at(2), memory.page, ResolveMode.DONT_WAKE);
            reader.assertAsleep();
            uffd.wake(memory.at(2), memory.page);
            assertEquals(List.of(0L, 0L), reader.await());
        }
    }
}
