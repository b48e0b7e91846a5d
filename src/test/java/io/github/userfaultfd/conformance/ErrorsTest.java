// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.OpenMethod;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.support.Needs;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Each error number that the kernel's interface has, provoked, and the exception that it becomes. */
@Scenario("errors")
class ErrorsTest {
    private static final int UFFDIO = 0xAA;

    @EachMemory
    void eexist(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                uffd.awaitEvent(Event.PageFault.class);
                uffd.copy(memory.at(0), source.at(0), memory.page, ResolveMode.DONT_WAKE);
                Refused.with(Abi.EEXIST, () -> uffd.copy(memory.at(0), source.at(0), memory.page));
                assertEquals(Uffd.EXISTS, uffd.tryCopy(memory.at(0), source.at(0), memory.page));
                reader.assertAsleep();
                uffd.wake(memory.at(0), memory.page);
                assertEquals(List.of((long) TestMemory.content(0)), reader.await());
            }
        }
    }

    @EachMemory
    void enoent(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.raw(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(kind.missingAndWhatProtects())) {
            Refused.with(Abi.ENOENT, () -> uffd.copy(memory.at(0), source.at(0), memory.page));
            // A change of rights makes two mappings of one.
            new Steps().mprotect(memory.at(1), memory.length - memory.page, Faults.PROT_READ).run();
            uffd.register(memory, RegisterMode.MISSING);
            Refused.with(Abi.ENOENT, () -> uffd.copy(memory.at(0), source.at(0), 2L * memory.page));
            assertEquals(memory.page, uffd.copy(memory.at(0), source.at(0), memory.page));
            if (kind.canBeWriteProtected()) {
                Refused.with(Abi.ENOENT, () -> uffd.writeProtect(memory.at(0), memory.page));
            }
        }
    }

    /** A process that has ended; its descriptor came with a fork event. */
    @EachMemory
    void esrch(MemoryKind kind) throws Exception {
        Needs.features(Feature.EVENT_FORK);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.EVENT_FORK))) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job child = new Steps().gate(1).fork();
                    CoveredUffd childs = new CoveredUffd(uffd.awaitEvent(Event.Fork.class).uffd())) {
                child.awaitStep(0);
                child.open(1);
                child.awaitZeros();
                Refused.with(Abi.ESRCH, () -> childs.copy(memory.at(0), source.at(0), memory.page));
                Refused.with(Abi.ENOMEM, () -> childs.register(memory, RegisterMode.MISSING));
                Refused.with(Abi.ENOMEM, () -> childs.unregister(memory));
                childs.wake(memory.at(0), memory.page);
            }
        }
    }

    @EachMemory
    void ebusyForASecondDescriptor(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                CoveredUffd first = CoveredUffd.open(kind.missing());
                CoveredUffd second = CoveredUffd.open(kind.missing())) {
            first.register(memory, RegisterMode.MISSING);
            UffdException busy = Refused.with(Abi.EBUSY, () -> second.register(memory, RegisterMode.MISSING));
            assertTrue(busy.getMessage().contains("another userfaultfd"), busy::getMessage);
            first.unregister(memory);
            second.register(memory, RegisterMode.MISSING);
        }
    }

    @EachMemory(MemoryKind.ANONYMOUS)
    void ebusyForMove(MemoryKind kind) throws Exception {
        Needs.features(Feature.MOVE);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(Feature.MOVE)) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job child = new Steps().gate(1).fork()) {
                child.awaitStep(0);
                assertTrue(child.childPid() > 0);
                Refused.with(Abi.EBUSY, () -> uffd.move(memory.at(0), source.at(0), memory.page));
                child.open(1);
                child.awaitZeros();
            }
            int pin = Faults.pin(source.at(1), source.page);
            assumeTrue(pin >= 0, () -> "a page cannot be pinned: io_uring answers " + Errno.name(-pin));
            Refused.with(Abi.EBUSY, () -> uffd.move(memory.at(1), source.at(1), memory.page));
            Native.close(pin);
        }
    }

    @EachMemory
    void einval(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(kind.missingAndWhatProtects())) {
            uffd.register(memory, RegisterMode.MISSING);
            if (kind.isHuge()) {
                Refused.with(Abi.EINVAL, () -> uffd.copy(memory.at(0), source.at(0), TestMemory.PAGE));
                Refused.with(Abi.EINVAL, () -> uffd.zeropage(memory.at(0), memory.page));
            }
            if (!kind.isFile()) {
                Refused.with(Abi.EINVAL, () -> uffd.register(memory, RegisterMode.MINOR));
            } else if (Needs.workingFeatures().contains(Feature.MOVE)) {
                Refused.with(Abi.EINVAL, () -> uffd.move(memory.at(0), source.at(0), memory.page));
            }
            if (kind.canBeWriteProtected()) {
                uffd.register(memory, RegisterMode.MISSING, RegisterMode.WRITE_PROTECT);
                long[] bothModes = {memory.at(0), memory.page, Abi.WRITEPROTECT_MODE_WP | Abi.WRITEPROTECT_MODE_DONTWAKE};
                assertEquals(-Abi.EINVAL, Faults.ioctl(uffd.fd(), UFFDIO, Abi.IOCTL_WRITEPROTECT, bothModes));
            }
            // What can be told without asking the kernel is no UffdException.
            assertThrows(IllegalArgumentException.class, () -> uffd.copy(memory.at(0) + 1, source.at(0), memory.page));
            assertThrows(IllegalArgumentException.class, () -> uffd.copy(memory.at(0), source.at(0), memory.page - 1L));
            assertThrows(IllegalArgumentException.class,
                    () -> uffd.copy(memory.at(0), source.at(0), memory.page, ResolveMode.ALLOW_SOURCE_HOLES));
        }
    }

    @Test
    void einvalForReads() throws Exception {
        int fd = (int) Faults.ok(Faults.openUserfaultfd(false, Ability.openFlags()));
        assertEquals(-Abi.EINVAL, Faults.readBytes(fd, Abi.MSG_SIZE), "before the handshake");
        Refused.with(Abi.EINVAL, () -> Uffd.adopt(0));
        assertEquals(0, Faults.ioctl(fd, UFFDIO, Abi.IOCTL_API, new long[] {UFFDIO, 0, 0}));
        assertEquals(-Abi.EAGAIN, Faults.readBytes(fd, Abi.MSG_SIZE));
        Native.close(fd);
        // Room for less than one message: the kernel says so only when there is one to hand out.
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS); CoveredUffd uffd = CoveredUffd.open()) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                assertTrue(uffd.poll(java.time.Duration.ofSeconds(5)));
                assertEquals(-Abi.EINVAL, Faults.readBytes(uffd.fd(), Abi.MSG_SIZE - 1));
                uffd.awaitEvent(Event.PageFault.class);
                uffd.zeropage(memory.at(0), memory.page);
                reader.awaitZeros();
            }
        }
    }

    @Test
    void epermForMemoryThatCannotBeWritten() throws Exception {
        Needs.features(Feature.MISSING_SHMEM);
        try (TestMemory memory = TestMemory.raw(MemoryKind.SHMEM); CoveredUffd uffd = CoveredUffd.open(Feature.MISSING_SHMEM)) {
            int readOnly = (int) Faults.ok(Faults.openFile("/proc/self/fd/" + memory.fd(), 0));
            long mapped = Faults.ok(Faults.mmap(0, memory.length, Faults.PROT_READ, Faults.MAP_SHARED, readOnly));
            Refused.with(Abi.EPERM, () -> uffd.register(mapped, memory.length, RegisterMode.MISSING));
            Faults.ok(Faults.munmap(mapped, memory.length));
            Native.close(readOnly);
        }
    }

    @Test
    void epermWithoutCapability() throws Exception {
        Needs.root();
        Needs.features(Feature.EVENT_FORK);
        UffdException noFork = Refused.inThreadOfItsOwn(() -> {
            Faults.ok(Faults.dropCapability(Faults.CAP_SYS_PTRACE));
            return Refused.with(Abi.EPERM, () -> new UffdBuilder().requireFeatures(Feature.EVENT_FORK).create().close());
        });
        assertTrue(noFork.getMessage().contains("CAP_SYS_PTRACE"), noFork::getMessage);
        assumeTrue(Needs.system().unprivileged().orElse(1) == 0, "vm.unprivileged_userfaultfd allows everybody everything");
        UffdException noKernelFaults = Refused.inThreadOfItsOwn(() -> {
            Faults.ok(Faults.dropCapability(Faults.CAP_SYS_PTRACE));
            return Refused.with(Abi.EPERM,
                    () -> new UffdBuilder().openMethod(OpenMethod.SYSCALL).userModeOnly(false).create().close());
        });
        assertTrue(noKernelFaults.getMessage().contains("lacks CAP_SYS_PTRACE"), noKernelFaults::getMessage);
    }

    @EachMemory
    void efaultForABadSource(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            uffd.register(memory, RegisterMode.MISSING);
            new Steps().mprotect(source.at(0), source.length, Faults.PROT_NONE).run();
            Refused.with(Abi.EFAULT, () -> uffd.copy(memory.at(0), source.at(0), memory.page));
        }
    }

    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void efaultBeyondTheFile(MemoryKind kind) throws Exception {
        Needs.features(kind.minor().toArray(new Feature[0]));
        try (TestMemory memory = TestMemory.raw(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), kind.minor().toArray(new Feature[0])))) {
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.MINOR);
            Refused.with(Abi.EFAULT, () -> uffd.continueRange(memory.at(1), memory.page));
            Faults.ok(Faults.truncate(memory.fd(), memory.page));
            // 7.3 says ENOMEM, when it is asked for a page of shared memory that cannot be.
            Refused.withOneOf(Set.of(Abi.EFAULT, Abi.ENOMEM), () -> uffd.copy(memory.at(1), source.at(1), memory.page));
            // shmem_get_folio says EINVAL beyond the end, and CONTINUE passes that on before 7.3.
            Set<Integer> beyond = kind.isHuge() ? Set.of(Abi.EFAULT) : Set.of(Abi.EINVAL, Abi.EFAULT);
            Refused.withOneOf(beyond, () -> uffd.continueRange(memory.at(1), memory.page));
            assertEquals(memory.page, uffd.copy(memory.at(0), source.at(0), memory.page));
        }
    }

    /** The exception itself is shown by a fake of the kernel, see OtherKernelTest. */
    @EachMemory({MemoryKind.SHMEM})
    void eio(MemoryKind kind) throws Exception {
        Needs.features(Feature.MINOR_SHMEM);
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(Feature.MINOR_SHMEM)) {
            Faults.setMemory(memory.alias(), memory.length, 1);
            // Its thread gets a SIGBUS for it.
            int poisoned = new Steps().madvise(memory.alias(), memory.page, Faults.MADV_HWPOISON).run().get(0).intValue();
            assumeTrue(poisoned != -Abi.EINVAL && poisoned != -Abi.EPERM, () -> "no memory error can be injected, "
                    + "madvise(MADV_HWPOISON): " + Errno.name(-poisoned) + " (a kernel without CONFIG_MEMORY_FAILURE, or not root)");
            uffd.register(memory, RegisterMode.MINOR);
            Refused.with(Abi.EIO, () -> uffd.continueRange(memory.at(0), memory.page));
        }
    }
}
