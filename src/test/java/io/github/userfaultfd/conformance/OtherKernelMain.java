// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import java.time.Duration;
import java.util.Set;

/** Runs in a JVM in which test_other_kernel.c stands between the library and the kernel. */
public final class OtherKernelMain {
    private static final int NEW_FEATURE_BIT = 40;
    private static final int NEW_IOCTL = 20;
    private static final int NEW_EVENT = 0x7f;

    private OtherKernelMain() {}

    /** The argument says which kernel it is made to look like. */
    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "newer" -> newer();
            case "older" -> older();
            case "broken" -> broken();
            case "lenient" -> lenient();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.out.println("done: " + arguments[0]);
    }

    private static void newer() throws Exception {
        SystemSupport system = SystemSupport.probe();
        assertTrue((system.rawFeatures() >>> NEW_FEATURE_BIT & 1) != 0, "the probe keeps the bit");
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                Uffd uffd = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.THREAD_ID).create();
                EventBuffer buffer = EventBuffer.allocate(4)) {
            assertEquals(system.rawFeatures(), uffd.rawFeatures());
            assertTrue(uffd.features().contains(Feature.THREAD_ID));
            assertTrue(Feature.names(uffd.rawFeatures()).endsWith(", bit 40]"), Feature.names(uffd.rawFeatures()));
            assertTrue(Ioctl.names(uffd.rawIoctls()).endsWith(", number 20]"), Ioctl.names(uffd.rawIoctls()));
            assertEquals(1, uffd.rawIoctls() >>> NEW_IOCTL & 1);
            assertTrue(uffd.register(memory.address(), memory.length).contains(Ioctl.COPY));
            uffd.unregister(memory.address(), memory.length);
            long range = uffd.registerRaw(memory.address(), memory.length, RegisterMode.MISSING);
            assertTrue(Ioctl.names(range).endsWith(", number 20]"), Ioctl.names(range));

            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                assertTrue(uffd.poll(Duration.ofSeconds(5)));
                assertEquals(1, uffd.readEvents(buffer));
                assertEquals(NEW_EVENT, buffer.eventNumber(0));
                assertFalse(buffer.isPageFault(0));
                assertEquals(new Event.Unknown(NEW_EVENT), buffer.get(0));
                assertEquals("Unknown[number=127]", buffer.get(0).toString());
                uffd.zeropage(memory.address(), memory.length);
                reader.awaitZeros();
            }
        }
    }

    /** A kernel that leaves the output field as it was: the library's own zero, which is no progress. */
    private static void older() throws Exception {
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                TestMemory source = TestMemory.source(memory);
                Uffd uffd = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.EVENT_REMOVE).create()) {
            uffd.register(memory.address(), memory.length);
            try (Steps.Job remover = new Steps().madvise(memory.at(0), memory.page, Faults.MADV_DONTNEED).start()) {
                assertTrue(uffd.poll(Duration.ofSeconds(5)));
                long[] raw = {memory.at(1), source.at(1), memory.page, 0, 4711};
                assertEquals(-Abi.EAGAIN, Faults.ioctl(uffd.fd(), 0xAA, Abi.IOCTL_COPY, raw));
                assertEquals(4711, raw[4], "the fake works: the field is as it was");
                assertEquals(Uffd.AGAIN, uffd.tryCopy(memory.at(1), source.at(1), memory.page));
                assertEquals(Uffd.AGAIN, uffd.tryZeropage(memory.at(1), memory.page));
                UffdException again = Refused.with(Abi.EAGAIN, () -> uffd.copy(memory.at(1), source.at(1), memory.page));
                assertEquals(UffdException.class, again.getClass(), "no progress, so not a partial transfer");
                uffd.readEvent();
                remover.awaitZeros();
            }
        }
    }

    /** A kernel that takes a feature which its configuration lacks, and leaves it out of its answer (before 6.10). */
    private static void lenient() {
        UnsupportedFeaturesException lacks = assertThrows(UnsupportedFeaturesException.class,
                () -> new UffdBuilder().requireFeatures(Feature.THREAD_ID, Feature.MINOR_SHMEM).create().close());
        assertEquals(Set.of(Feature.MINOR_SHMEM), lacks.missing());
    }

    /** A page with a hardware memory error, which CONTINUE may not map. */
    private static void broken() throws Exception {
        try (TestMemory memory = TestMemory.of(MemoryKind.SHMEM);
                Uffd uffd = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.MINOR_SHMEM).create()) {
            uffd.register(memory.address(), memory.length, RegisterMode.MINOR);
            Refused.with(Abi.EIO, () -> uffd.continueRange(memory.at(0), memory.page));
        }
    }
}
