// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What bites users of userfaultfd: system calls, protection, and what PAGEMAP_SCAN tells. */
@Scenario("behaviour: memory")
class BehaviourOfMemoryTest {
    private static void closeAll(int... descriptors) {
        for (int each : descriptors) {
            Native.close(each);
        }
    }

    /** 6. For faults of user mode only: a system call that touches a missing or protected page gets EFAULT. */
    @EachMemory
    void systemCallsFailUnderUserModeOnly(MemoryKind kind) throws Exception {
        Ability.USER_MODE_ONLY.need();
        systemCallsFail(kind, Set.of());
    }

    /** 6. The same with SIGBUS, and no signal. */
    @EachMemory
    void systemCallsFailUnderSigbus(MemoryKind kind) throws Exception {
        systemCallsFail(kind, Set.of(Feature.SIGBUS));
    }

    private static void systemCallsFail(MemoryKind kind, Set<Feature> more) throws Exception {
        int[] pipe = new int[2];
        Faults.ok(Faults.pipe(pipe));
        Set<Feature> features = CoveredUffd.all(kind.writeProtect(), kind.missing().toArray(new Feature[0]));
        features.addAll(more);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(features)) {
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.WRITE_PROTECT);
            assertEquals(1, new Steps().writeFile(pipe[1], source.at(0), 1).run().get(0));
            assertEquals(-Abi.EFAULT, new Steps().readFile(pipe[0], memory.at(0), 1).run().get(0), "missing");
            uffd.copy(memory.at(0), source.at(1), memory.page, ResolveMode.WRITE_PROTECT);
            assertEquals(-Abi.EFAULT, new Steps().readFile(pipe[0], memory.at(0), 1).run().get(0), "protected");
            uffd.removeWriteProtection(memory.at(0), memory.page);
            assertEquals(List.of(1L, (long) TestMemory.content(0)),
                    new Steps().readFile(pipe[0], memory.at(0), 1).read(memory.at(0)).run(), "the byte is still in the pipe");
            assertTrue(uffd.events().isEmpty());
        } finally {
            closeAll(pipe);
        }
    }

    /** 6. A descriptor that is not for user mode only has the system call wait like everybody else. */
    @EachMemory
    void systemCallsWaitOtherwise(MemoryKind kind) throws Exception {
        int[] pipe = new int[2];
        Faults.ok(Faults.pipe(pipe));
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.openForKernelToo(kind.missing().toArray(new Feature[0]))) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job writer = new Steps().writeFile(pipe[1], memory.at(0), 1).start()) {
                assertEquals(memory.at(0), uffd.awaitEvent(Event.PageFault.class).address());
                writer.assertAsleep();
                uffd.copy(memory.at(0), source.at(0), memory.page);
                assertEquals(List.of(1L), writer.await());
            }
            assertEquals(List.of(1L, (long) TestMemory.content(0)),
                    new Steps().readFile(pipe[0], source.at(1), 1).read(source.at(1)).run());
        } finally {
            closeAll(pipe);
        }
    }

    /** 6. What that is for Java: FileChannel.read into a region fails, until the page is there. */
    @Test
    void fileChannelReadsIntoPagesThatAreThere() throws Exception {
        Ability.USER_MODE_ONLY.need();
        try (MemoryRegion region = MemoryRegion.anonymous(TestMemory.PAGE);
                CoveredUffd uffd = CoveredUffd.open();
                FileChannel file = FileChannel.open(Path.of("/proc/self/cmdline"))) {
            uffd.register(region.address(), region.size(), RegisterMode.MISSING);
            IOException failed = assertThrows(IOException.class, () -> file.read(region.asByteBuffer(0, 16)));
            assertEquals("Bad address", failed.getMessage());
            uffd.zeropage(region.address(), region.size());
            region.fetch(0, region.size());
            assertEquals(16, file.read(region.asByteBuffer(0, 16)));
        }
    }

    /** 7. Protecting missing anonymous pages does nothing without WP_UNPOPULATED. */
    @EachMemory
    void protectingMissingPages(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.writeProtect())) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            uffd.writeProtect(memory.address(), memory.length);
            assertEquals(kind.isFile(), memory.isWriteProtected(0));
            try (Steps.Job writer = new Steps().write(memory.at(0), 1).start()) {
                if (kind.isFile()) {
                    assertEquals(Event.PageFault.Kind.WRITE_PROTECTED, uffd.awaitEvent(Event.PageFault.class).kind());
                    uffd.removeWriteProtection(memory.at(0), memory.page);
                }
                writer.awaitZeros();
            }
            assertTrue(uffd.events().isEmpty());
        }
    }

    /** 7. WP_ASYNC notes writes to any kind of memory, missing pages included, without an event. */
    @EachMemory
    void asynchronousProtection(MemoryKind kind) throws Exception {
        Needs.features(Feature.WP_ASYNC);
        try (TestMemory memory = TestMemory.of(kind);
                PageScan scan = new PageScan();
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), Feature.WP_ASYNC))) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            uffd.writeProtect(memory.address(), memory.length);
            assertEquals(new BitSet(), scan.written(memory, true));
            new Steps().write(memory.at(1), 1).read(memory.at(2)).write(memory.at(3), 1).run();
            assertEquals(BitSet.valueOf(new long[] {0b1010}), scan.written(memory, true));
            assertEquals(new BitSet(), scan.written(memory, true), "armed again in the same step");
            new Steps().write(memory.at(3), 2).run();
            assertEquals(BitSet.valueOf(new long[] {0b1000}), scan.written(memory, false));
            assertTrue(uffd.events().isEmpty());
        }
    }

    /** 7. Of files, only WP_ASYNC can have the mappings. */
    @Test
    void asynchronousProtectionOfAFile() throws Exception {
        Needs.features(Feature.WP_ASYNC);
        Path file = Files.createTempFile("conformance", ".bin");
        try (CoveredUffd plain = CoveredUffd.open(Feature.PAGEFAULT_FLAG_WP);
                CoveredUffd async = CoveredUffd.open(Feature.WP_ASYNC)) {
            assumeTrue(!Files.getFileStore(file).type().equals("tmpfs"), "the file is on a tmpfs, which is shared memory");
            Files.write(file, new byte[TestMemory.PAGE]);
            int fd = (int) Faults.ok(Faults.openFile(file.toString(), 2));
            long mapped = Faults.ok(Faults.mmap(0, TestMemory.PAGE, Faults.PROT_READ_WRITE, Faults.MAP_PRIVATE, fd));
            Refused.with(Abi.EINVAL, () -> plain.register(mapped, TestMemory.PAGE, RegisterMode.WRITE_PROTECT));
            async.register(mapped, TestMemory.PAGE, RegisterMode.WRITE_PROTECT);
            async.writeProtect(mapped, TestMemory.PAGE);
            assertTrue(TestMemory.isWriteProtected(Faults.pagemap(mapped)));
            assertEquals(List.of(0L), new Steps().write(mapped, 1).run());
            assertFalse(TestMemory.isWriteProtected(Faults.pagemap(mapped)), "noted, and let through");
            Faults.ok(Faults.munmap(mapped, TestMemory.PAGE));
            closeAll(fd);
        } finally {
            Files.delete(file);
        }
    }

    /** 8. MADV_DONTNEED counts as written on some kernels and kinds of memory only; a write after it counts everywhere. */
    @EachMemory
    void droppedPagesAndTheScan(MemoryKind kind) throws Exception {
        Needs.features(Feature.WP_ASYNC);
        try (TestMemory memory = TestMemory.of(kind);
                PageScan scan = new PageScan();
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), Feature.WP_ASYNC))) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            uffd.writeProtect(memory.address(), memory.length);
            new Steps().write(memory.at(1), 1).run();
            scan.written(memory, true);
            Faults.ok(Faults.madvise(memory.at(1), memory.page, Faults.MADV_DONTNEED));
            BitSet dropped = scan.written(memory, true);
            System.out.println("conformance: MADV_DONTNEED of " + kind + (dropped.get(1) ? " counts" : " does not count")
                    + " as written on Linux " + Needs.system().kernel());
            dropped.clear(1);
            assertEquals(new BitSet(), dropped, "nothing else");
            new Steps().write(memory.at(1), 2).run();
            assertTrue(scan.written(memory, true).get(1));
        }
    }

    /** 13. Pages never touched may count as written, until the range was protected or scanned once. */
    @EachMemory
    void untouchedPagesAndTheScan(MemoryKind kind) throws Exception {
        Needs.features(Feature.WP_ASYNC);
        try (TestMemory memory = TestMemory.of(kind);
                PageScan scan = new PageScan();
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), Feature.WP_ASYNC))) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            BitSet before = scan.written(memory, false);
            assertTrue(before.isEmpty() || before.cardinality() == memory.pages(), () -> "some pages only: " + before);
            System.out.println("conformance: untouched pages of " + kind + (before.isEmpty() ? " do not count" : " count")
                    + " as written on Linux " + Needs.system().kernel());
            uffd.writeProtect(memory.address(), memory.length);
            assertEquals(new BitSet(), scan.written(memory, false));
        }
    }
}
