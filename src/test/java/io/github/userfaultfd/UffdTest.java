// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.github.userfaultfd.conformance.Ability;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The low-level API. Faults are raised from native code only, by fetch: Java handles them here. */
@Timeout(60)
class UffdTest {
    private static final long PAGE = Native.pageSize();
    private static final int PAGES = 16;

    private Uffd uffd;
    private MemoryRegion region;
    private MemoryRegion source;

    @BeforeEach
    void open() throws IOException {
        uffd = new UffdBuilder().nonBlocking(true).closeOnExec(true).create();
        region = MemoryRegion.anonymous(PAGES * PAGE);
        source = MemoryRegion.anonymous(PAGES * PAGE);
        ByteBuffer bytes = source.asByteBuffer(0, (int) (PAGES * PAGE));
        for (int i = 0; i < bytes.capacity(); i++) {
            bytes.put(i, (byte) (i / PAGE + 1));
        }
    }

    @AfterEach
    void close() {
        uffd.close();
        region.close();
        source.close();
    }

    private long at(int page) {
        return region.address() + page * PAGE;
    }

    private long from(int page) {
        return source.address() + page * PAGE;
    }

    private byte first(int page) {
        return region.asByteBuffer(page * PAGE, 1).get(0);
    }

    private UffdException fails(int errno, String operation, Executable call) {
        UffdException e = assertThrows(UffdException.class, call);
        assertEquals(errno, e.errno(), e.getMessage());
        assertEquals(operation, e.operation());
        return e;
    }

    @Test
    void aFaultIsReportedAndResolved() throws Exception {
        Set<Ioctl> ioctls = uffd.register(region.address(), region.size());
        assertTrue(ioctls.containsAll(Set.of(Ioctl.COPY, Ioctl.ZEROPAGE, Ioctl.WAKE)), ioctls.toString());
        CompletableFuture<Void> fetch = CompletableFuture.runAsync(() -> {
            try {
                region.fetch(3 * PAGE + 5, 1);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        assertTrue(uffd.poll(Duration.ofSeconds(30)));
        Event.PageFault fault = assertInstanceOf(Event.PageFault.class, uffd.readEvent().orElseThrow());
        assertEquals(new Event.PageFault(at(3), Event.PageFault.Kind.MISSING, false, 0), fault);
        assertFalse(fetch.isDone());
        assertEquals(PAGE, uffd.copy(at(3), from(3), PAGE));
        fetch.get(30, TimeUnit.SECONDS);
        assertEquals(4, first(3));
    }

    @Test
    void everyFillingIoctl() throws Exception {
        uffd.register(region.address(), region.size());
        assertEquals(2 * PAGE, uffd.copy(at(0), from(0), 2 * PAGE));
        assertEquals(1, first(0));
        assertEquals(2, first(1));
        assertEquals(PAGE, uffd.zeropage(at(2), PAGE, ResolveMode.DONT_WAKE));
        assertEquals(0, first(2));
        if (Needs.system().ioctls().contains(Ioctl.MOVE)) {
            assertEquals(PAGE, uffd.move(at(3), from(5), PAGE));
            assertEquals(6, first(3));
        }
        uffd.wake(region.address(), region.size());
    }

    @Test
    void minorFaultsAreContinued() throws Exception {
        Needs.features(Feature.MINOR_SHMEM);
        try (MemoryRegion shared = MemoryRegion.shared(4 * PAGE)) {
            Set<Ioctl> ioctls = uffd.register(shared.address(), shared.size(), RegisterMode.MISSING, RegisterMode.MINOR);
            assertTrue(ioctls.contains(Ioctl.CONTINUE));
            shared.asAliasByteBuffer(PAGE, 1).put(0, (byte) 77);
            assertEquals(PAGE, uffd.continueRange(shared.address() + PAGE, PAGE));
            assertEquals(77, shared.asByteBuffer(PAGE, 1).get(0));
            fails(Abi.EFAULT, "continue", () -> uffd.continueRange(shared.address(), PAGE));
        }
    }

    @Test
    void poisonedPagesFailToBeFetched() throws Exception {
        Needs.features(Feature.POISON);
        uffd.register(region.address(), region.size());
        assertEquals(PAGE, uffd.poison(at(1), PAGE));
        uffd.copy(at(0), from(0), PAGE);
        region.fetch(0, PAGE);
        UffdException e = fails(Abi.EFAULT, "fetch", () -> region.fetch(PAGE, PAGE));
        assertTrue(e.getMessage().contains("poisoned"), e.getMessage());
        region.fetch(0, PAGE);
    }

    @Test
    void writeProtectionIsSetAndLifted() throws Exception {
        Needs.features(Feature.PAGEFAULT_FLAG_WP);
        try (Uffd protecting = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.PAGEFAULT_FLAG_WP).create()) {
            Set<Ioctl> ioctls = protecting.register(region.address(), region.size(), RegisterMode.WRITE_PROTECT);
            assertTrue(ioctls.contains(Ioctl.WRITEPROTECT));
            region.asByteBuffer(0, 1).put(0, (byte) 5);
            protecting.writeProtect(at(0), PAGE);
            assertEquals(Ability.PROTECTION_IN_PAGEMAP.isThere(), Ability.isWriteProtected(at(0)));
            protecting.removeWriteProtection(at(0), PAGE, ResolveMode.DONT_WAKE);
            assertFalse(Ability.isWriteProtected(at(0)));
            region.asByteBuffer(0, 1).put(0, (byte) 6);
            assertEquals(6, first(0));
        }
    }

    @Test
    void aPartIsReportedAndTheRestSaysWhy() throws Exception {
        uffd.register(region.address(), region.size());
        uffd.copy(at(1), from(1), PAGE);
        PartialTransferException e = assertThrows(PartialTransferException.class, () -> uffd.copy(at(0), from(0), 3 * PAGE));
        assertEquals(PAGE, e.transferred());
        assertEquals(Uffd.EXISTS, uffd.tryCopy(at(1), from(1), 2 * PAGE));
        fails(Abi.EEXIST, "copy", () -> uffd.copy(at(1), from(1), 2 * PAGE));
        assertEquals(PAGE, uffd.tryCopy(at(2), from(2), PAGE));
        assertEquals(Uffd.EXISTS, uffd.tryZeropage(at(2), PAGE));
    }

    @Test
    void anUnreadRemoveHoldsFillingUp() throws Exception {
        Needs.features(Feature.EVENT_REMOVE);
        try (Uffd watching = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.EVENT_REMOVE).create()) {
            watching.register(region.address(), region.size());
            watching.copy(at(0), from(0), 2 * PAGE);
            CompletableFuture<Void> discard = CompletableFuture.runAsync(() -> {
                try {
                    region.discard(0, 2 * PAGE);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
            assertTrue(watching.poll(Duration.ofSeconds(30)));
            assertEquals(Uffd.AGAIN, watching.tryCopy(at(4), from(4), PAGE));
            fails(Abi.EAGAIN, "copy", () -> watching.copy(at(4), from(4), PAGE));
            assertEquals(Optional.of(new Event.Remove(at(0), at(2))), watching.readEvent());
            discard.get(30, TimeUnit.SECONDS);
            assertEquals(PAGE, watching.copy(at(4), from(4), PAGE));
        }
    }

    @Test
    void badArgumentsAreNamed() throws Exception {
        uffd.register(region.address(), region.size());
        for (long[] bad : new long[][] {{-PAGE, PAGE}, {1, PAGE}, {at(0), 1}, {at(0), 0}, {at(0), -PAGE},
            {Long.MAX_VALUE / PAGE * PAGE, 2 * PAGE}}) {
            for (Executable call : new Executable[] {
                () -> uffd.register(bad[0], bad[1]), () -> uffd.unregister(bad[0], bad[1]), () -> uffd.wake(bad[0], bad[1]),
                () -> uffd.copy(bad[0], from(0), bad[1]), () -> uffd.zeropage(bad[0], bad[1]),
                () -> uffd.move(bad[0], from(0), bad[1]), () -> uffd.continueRange(bad[0], bad[1]),
                () -> uffd.poison(bad[0], bad[1]), () -> uffd.writeProtect(bad[0], bad[1]),
                () -> uffd.removeWriteProtection(bad[0], bad[1])}) {
                String message = assertThrows(IllegalArgumentException.class, call).getMessage();
                assertTrue(message.matches("(?s)\\w+: address 0x.*(negative|multiple|zero|overflows).*"), message);
            }
        }
        assertThrows(IllegalArgumentException.class, () -> uffd.copy(at(0), -1, PAGE));
        assertThrows(IllegalArgumentException.class, () -> uffd.register(at(0), PAGE, new RegisterMode[0]));
        String message = assertThrows(IllegalArgumentException.class,
                () -> uffd.copy(at(0), from(0), PAGE, ResolveMode.ALLOW_SOURCE_HOLES)).getMessage();
        assertEquals("copy has no mode ALLOW_SOURCE_HOLES", message);
        assertThrows(NullPointerException.class, () -> uffd.readEvents(null));
        assertThrows(NullPointerException.class, () -> uffd.poll(null));
        assertThrows(IllegalArgumentException.class, () -> uffd.poll(Duration.ofNanos(-1)));
        assertThrows(IllegalArgumentException.class, () -> EventBuffer.allocate(0));
    }

    @Test
    void rangesThatAreNotOurs() throws Exception {
        UffdException e = fails(Abi.ENOENT, "copy", () -> uffd.copy(at(0), from(0), PAGE));
        assertTrue(e.getMessage().contains("0x" + Long.toHexString(at(0))), e.getMessage());
        uffd.register(region.address(), region.size());
        try (Uffd other = new UffdBuilder().create()) {
            fails(Abi.EBUSY, "register", () -> other.register(at(0), PAGE));
        }
        MemoryRegion gone = MemoryRegion.anonymous(PAGE);
        gone.close();
        fails(Abi.EFAULT, "copy", () -> uffd.copy(at(0), gone.address(), PAGE));
        fails(Abi.EINVAL, "adopt", () -> Uffd.adopt(1));
        fails(Abi.EBADF, "adopt", () -> Uffd.adopt(1_000_000));
    }

    @Test
    void closedMeansClosed() throws Exception {
        uffd.close();
        uffd.close();
        EventBuffer buffer = EventBuffer.allocate(1);
        for (Executable call : new Executable[] {() -> uffd.register(at(0), PAGE), () -> uffd.unregister(at(0), PAGE),
            () -> uffd.copy(at(0), from(0), PAGE), () -> uffd.wake(at(0), PAGE), uffd::readEvent,
            () -> uffd.readEvents(buffer), () -> uffd.poll(Duration.ZERO), uffd::detach,
            () -> uffd.writeProtect(at(0), PAGE)}) {
            assertEquals(ClosedChannelException.class, assertThrows(ClosedChannelException.class, call).getClass());
        }
    }

    @Test
    void nonBlockingReadsReturnAtOnce() throws Exception {
        assertEquals(Optional.empty(), uffd.readEvent());
        try (EventBuffer buffer = EventBuffer.allocate(8)) {
            assertEquals(0, uffd.readEvents(buffer));
        }
        assertFalse(uffd.poll(Duration.ZERO));
        assertFalse(uffd.poll(Duration.ofMillis(20)));
    }

    /** Closes while another thread sits in a call, many times, so that both orders of the race come up. */
    @ParameterizedTest
    @ValueSource(strings = {"readEvent", "readEvents", "poll"})
    void closeEndsABlockedCall(String call) throws Exception {
        int before = ProcessState.descriptors();
        for (int round = 0; round < 50; round++) {
            Uffd blocked = new UffdBuilder().nonBlocking(call.equals("poll")).create();
            CompletableFuture<Throwable> result = new CompletableFuture<>();
            EventBuffer buffer = EventBuffer.allocate(4);
            Thread reader = new Thread(() -> {
                try {
                    switch (call) {
                        case "readEvent" -> blocked.readEvent();
                        case "readEvents" -> blocked.readEvents(buffer);
                        default -> blocked.poll(Duration.ofDays(100_000_000));
                    }
                    result.complete(null);
                } catch (Throwable e) {
                    result.complete(e);
                }
            });
            reader.start();
            boolean underWay = round % 2 == 0;
            if (underWay) {
                Soon.assertInNative(reader);
            }
            blocked.close();
            Throwable thrown = result.get(30, TimeUnit.SECONDS);
            Class<? extends ClosedChannelException> expected =
                    underWay ? AsynchronousCloseException.class : ClosedChannelException.class;
            assertInstanceOf(expected, thrown);
            reader.join();
            buffer.close();
        }
        ProcessState.assertDescriptors(before);
    }

    @Test
    void aBlockingReadWaitsForTheFault() throws Exception {
        try (Uffd blocking = new UffdBuilder().create()) {
            blocking.register(region.address(), region.size());
            CompletableFuture<Event> read = CompletableFuture.supplyAsync(() -> {
                try {
                    return blocking.readEvent().orElseThrow();
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
            Thread.sleep(50);
            assertFalse(read.isDone());
            Thread toucher = new Thread(() -> {
                try {
                    region.fetch(0, 1);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
            toucher.start();
            assertInstanceOf(Event.PageFault.class, read.get(30, TimeUnit.SECONDS));
            blocking.zeropage(at(0), PAGE);
            toucher.join();
            fails(Abi.EINVAL, "poll", () -> blocking.poll(Duration.ZERO));
        }
    }

    @Test
    void readingInALoopAllocatesNothing() throws Exception {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (EventBuffer buffer = EventBuffer.allocate(64)) {
            long allocated = -1;
            int calls = ChildJvm.rounds(100_000);
            // The first rounds are interpreted and may allocate what the compiler removes later.
            for (int round = 0; round < 20 && allocated != 0; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < calls; i++) {
                    uffd.readEvents(buffer);
                }
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            }
            assertEquals(0, allocated, "bytes in " + calls + " calls");
        }
    }

    @Test
    void detachedDescriptorsStayOpen() throws Exception {
        int fd = uffd.detach();
        assertThrows(ClosedChannelException.class, () -> uffd.register(at(0), PAGE));
        try (Uffd again = Uffd.adopt(fd)) {
            again.register(region.address(), region.size());
            assertEquals(PAGE, again.zeropage(at(0), PAGE));
        }
        fails(Abi.EBADF, "adopt", () -> Uffd.adopt(fd));
    }
}
