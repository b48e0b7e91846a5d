// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryRegionTest {
    private static final long PAGE = PageSize.system().bytes();

    @Test
    void sizesAreWholePages() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE + 1)) {
            assertEquals(2 * PAGE, region.size());
            assertEquals(PAGE, region.pageSize());
            assertEquals(0, region.address() % PAGE);
        }
        assertThrows(IllegalArgumentException.class, () -> MemoryRegion.anonymous(0));
        assertThrows(IllegalArgumentException.class, () -> MemoryRegion.shared(-1));
        assertThrows(IllegalArgumentException.class, () -> MemoryRegion.anonymous(Long.MAX_VALUE));
        UffdException e = assertThrows(UffdException.class, () -> MemoryRegion.anonymous(1L << 62));
        assertEquals(Abi.ENOMEM, e.errno());
        assertTrue(e.getMessage().startsWith("anonymous of 4611686018427387904 bytes: ENOMEM"), e.getMessage());
    }

    @Test
    void buffersOfUpToTwoGigabytesAtAnyOffset() throws Exception {
        Needs.addressesOf64Bits();
        long gib = 1L << 30;
        try (MemoryRegion region = MemoryRegion.anonymous(5 * gib)) {
            for (long offset : new long[] {0, 1, gib - 1, gib, 2 * gib + 7, 5 * gib - Integer.MAX_VALUE}) {
                ByteBuffer buffer = region.asByteBuffer(offset, Integer.MAX_VALUE);
                assertEquals(Integer.MAX_VALUE, buffer.capacity());
                assertEquals(ByteOrder.nativeOrder(), buffer.order());
                assertTrue(buffer.isDirect());
                buffer.put(0, (byte) (offset + 1));
                buffer.put(Integer.MAX_VALUE - 1, (byte) (offset + 2));
                assertEquals((byte) (offset + 1), region.asByteBuffer(offset, 1).get(0));
                assertEquals((byte) (offset + 2), region.asByteBuffer(offset + Integer.MAX_VALUE - 1, 1).get(0));
            }
            assertEquals(0, region.asByteBuffer(region.size(), 0).capacity());
            for (long[] bad : new long[][] {{-1, 1}, {0, -1}, {region.size(), 1}, {region.size() - 1, 2}, {Long.MAX_VALUE, 1}}) {
                IndexOutOfBoundsException e = assertThrows(IndexOutOfBoundsException.class,
                        () -> region.asByteBuffer(bad[0], (int) bad[1]));
                assertTrue(e.getMessage().contains("offset " + bad[0]), e.getMessage());
            }
        }
    }

    @Test
    void sharedMemoryHasASecondMapping() throws Exception {
        try (MemoryRegion region = MemoryRegion.shared(3 * PAGE)) {
            region.asAliasByteBuffer(PAGE, 4).putInt(0, 42);
            assertEquals(42, region.asByteBuffer(PAGE, 4).getInt(0));
            assertFalse(region.address() == region.aliasAddress());
            assertTrue(region.memoryFd() > 2);
            region.punchHole(PAGE, PAGE);
            assertEquals(0, region.asByteBuffer(PAGE, 4).getInt(0));
        }
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            assertThrows(UnsupportedOperationException.class, region::aliasAddress);
            assertThrows(UnsupportedOperationException.class, region::memoryFd);
            assertThrows(UnsupportedOperationException.class, () -> region.asAliasByteBuffer(0, 1));
            assertEquals(Abi.EINVAL, assertThrows(UffdException.class, () -> region.punchHole(0, PAGE)).errno());
        }
    }

    @Test
    void pagesAreResidentWhenTouchedAndGoneWhenDiscarded() throws Exception {
        // Where transparent huge pages are always on, neighbours come along: that many.
        int near = ProcFiles.line("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").map(size -> (int) (Long.parseLong(size) / PAGE))
                .orElse(1);
        int far = 5 * near;
        try (MemoryRegion region = MemoryRegion.anonymous((far + 10) * PAGE)) {
            assertTrue(region.residentPages(0, region.size()).isEmpty());
            region.asByteBuffer(2 * PAGE, 1).put(0, (byte) 1);
            region.fetch(far * PAGE - 1, 2);
            BitSet resident = region.residentPages(0, region.size());
            assertTrue(resident.get(2) && resident.get(far - 1) && resident.get(far), resident.toString());
            assertEquals(-1, resident.get(2 + near, far - near).nextSetBit(0), resident.toString());
            region.discard(0, far * PAGE);
            assertEquals(0, region.asByteBuffer(2 * PAGE, 1).get(0));
            assertTrue(region.residentPages(far * PAGE, PAGE).get(0));
            assertEquals(-1, region.residentPages((2 + near) * PAGE, (far - 2 - near) * PAGE).nextSetBit(0));
        }
    }

    @Test
    void rangesOfPagesAreChecked() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            for (Executable call : new Executable[] {() -> region.discard(1, PAGE), () -> region.discard(0, 1),
                () -> region.residentPages(0, PAGE + 1), () -> region.discard(0, 0), () -> region.discard(-PAGE, PAGE)}) {
                assertThrows(IllegalArgumentException.class, call);
            }
            assertThrows(IndexOutOfBoundsException.class, () -> region.discard(3 * PAGE, 2 * PAGE));
            assertThrows(IndexOutOfBoundsException.class, () -> region.fetch(4 * PAGE, 1));
            region.fetch(4 * PAGE, 0);
        }
    }

    @Test
    void closedMeansClosedAndNothingIsLeaked() throws Exception {
        int descriptors = ProcessState.descriptors();
        MemoryRegion region = MemoryRegion.shared(4 * PAGE);
        region.asByteBuffer(0, 1).put(0, (byte) 1);
        region.close();
        region.close();
        ProcessState.assertDescriptors(descriptors);
        for (Executable call : new Executable[] {() -> region.asByteBuffer(0, 1), () -> region.fetch(0, 1),
            () -> region.discard(0, PAGE), () -> region.residentPages(0, PAGE), region::memoryFd, region::aliasAddress,
            () -> region.fetch(0, 0)}) {
            assertThrows(IllegalStateException.class, call);
        }
        assertTrue(region.toString().contains("closed"));
    }

    /** Addresses stay taken while a buffer can reach them, and are given back afterwards. */
    @Test
    void addressesReturnWithTheLastBuffer() throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(64 * PAGE);
        String start = Long.toHexString(region.address()) + "-";
        ByteBuffer slice = region.asByteBuffer(PAGE, 100).slice(10, 20);
        region.close();
        System.gc();
        Thread.sleep(200);
        assertTrue(isMapped(start));
        assertEquals(20, slice.capacity());
        slice = null;
        region = null; // which refers to its master buffers
        for (int i = 0; i < 200 && isMapped(start); i++) {
            System.gc();
            Thread.sleep(20);
        }
        assertFalse(isMapped(start));
    }

    private static boolean isMapped(String start) throws Exception {
        return java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/maps")).stream()
                .anyMatch(each -> each.startsWith(start));
    }

    @Test
    void hugePages() throws Exception {
        assertThrows(IllegalArgumentException.class, () -> PageSize.of(3 << 20));
        assertThrows(IllegalArgumentException.class, () -> MemoryRegion.hugePages(1, PageSize.system()));
        HugePages.need();
        try {
            PageSize huge = PageSize.of(HugePages.SIZE);
            try (MemoryRegion region = MemoryRegion.hugePages(1, huge)) {
                assertEquals(huge.bytes(), region.size());
                assertEquals(huge.bytes(), region.pageSize());
                assertTrue(region.residentPages(0, region.size()).isEmpty());
                region.asByteBuffer(region.size() - 1, 1).put(0, (byte) 3);
                assertEquals(1, region.residentPages(0, region.size()).cardinality());
            }
            UffdException e = assertThrows(UffdException.class, () -> MemoryRegion.hugePages(1L << 50, huge));
            assertEquals(Abi.ENOMEM, e.errno());
            assertTrue(e.getMessage().contains("nr_hugepages"), e.getMessage());
        } finally {
            HugePages.giveBack();
        }
    }

    /** More of them than there is room for in the first table, all waiting for a page that nobody brings. */
    @Test
    @Timeout(120)
    void anyNumberOfThreadsMayFetch() throws Exception {
        int threads = 150;
        try (MemoryRegion waiting = MemoryRegion.anonymous(threads * PAGE); MemoryRegion other = MemoryRegion.anonymous(PAGE);
                Uffd uffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).create()) {
            uffd.register(waiting.address(), waiting.size());
            ExecutorService pool = Executors.newCachedThreadPool();
            List<Future<?>> all = new ArrayList<>();
            try {
                for (int i = 0; i < threads; i++) {
                    long at = i * PAGE;
                    all.add(pool.submit(() -> {
                        waiting.fetch(at, 1);
                        return null;
                    }));
                }
                for (int faults = 0; faults < threads;) {
                    assertTrue(uffd.poll(Duration.ofSeconds(60)));
                    faults += uffd.readEvent().isPresent() ? 1 : 0;
                }
                pool.submit(() -> {
                    other.fetch(0, 1);
                    return null;
                }).get(30, TimeUnit.SECONDS);
            } finally {
                uffd.zeropage(waiting.address(), waiting.size());
                pool.shutdown();
            }
            for (Future<?> each : all) {
                each.get(60, TimeUnit.SECONDS);
            }
        }
    }

    /** Makes buffers for ever, in a JVM with little memory. */
    static final class Buffers {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.shared(2 * PAGE)) {
                long sum = 0;
                for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
                    sum += region.asAliasByteBuffer(PAGE, 8).getLong(0);
                }
                System.out.println("sum " + sum);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void buffersAreCollected(boolean newer) throws Exception {
        ChildJvm child = newer ? new ChildJvm().java(Needs.newerJava()) : new ChildJvm();
        ChildJvm.Result result = child.options("-Xmx24m").run(Duration.ofSeconds(120), Buffers.class, ChildJvm.PATIENCE > 1 ? "50000" : "1000000")
                .assertExit(0);
        assertTrue(result.output().endsWith("sum 0\n"), result.output());
    }
}
