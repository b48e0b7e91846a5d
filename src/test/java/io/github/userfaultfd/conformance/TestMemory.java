// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.nio.file.Files;

/**
 * Memory of one kind, whose pages are all missing: from {@link MemoryRegion} where that has the kind, mapped by the test
 * itself otherwise or where the layout is going to change.
 */
final class TestMemory implements AutoCloseable {
    static final int PAGE = (int) Needs.system().pageSize();

    private static final int WRITE_PROTECTED_BIT = 57;
    private static final int PRESENT_BIT = 63;

    final MemoryKind kind;
    final long length;
    final int page;
    private final MemoryRegion region;
    private final int fd;
    private final long alias;
    private long address;
    private boolean mapped = true;

    private TestMemory(MemoryKind kind, int page, MemoryRegion region) {
        this.kind = kind;
        this.page = page;
        this.region = region;
        length = region.size();
        address = region.address();
        alias = kind == MemoryKind.SHMEM ? region.aliasAddress() : 0;
        fd = -1;
    }

    private TestMemory(MemoryKind kind, int page, int pages, long alignment, boolean closeOnExec) {
        this.kind = kind;
        this.page = page;
        region = null;
        length = (long) page * pages;
        int sharing = kind.isShared() ? Faults.MAP_SHARED : Faults.MAP_PRIVATE;
        if (kind.isFile()) {
            int flags = (closeOnExec ? Faults.MFD_CLOEXEC : 0) | (kind.isHuge() ? Faults.MFD_HUGETLB : 0);
            fd = (int) Faults.ok(Faults.memfd(length, flags));
            address = map(alignment, sharing, fd);
            alias = kind.isShared() ? map(alignment, sharing, fd) : 0;
        } else {
            fd = -1;
            address = map(alignment, sharing | Faults.MAP_ANONYMOUS, -1);
            alias = 0;
        }
    }

    private long map(long alignment, int flags, int from) {
        long at = reserve(length, alignment);
        return Faults.ok(Faults.mmap(at, length, Faults.PROT_READ_WRITE, flags | Faults.MAP_FIXED, from));
    }

    /** Addresses of their own, aligned, that nobody uses. */
    private static long reserve(long length, long alignment) {
        long whole = length + alignment;
        long reserved = Faults.ok(Faults.mmap(0, whole, Faults.PROT_NONE, Faults.MAP_PRIVATE | Faults.MAP_ANONYMOUS, -1));
        long aligned = (reserved + alignment - 1) / alignment * alignment;
        if (aligned > reserved) {
            Faults.ok(Faults.munmap(reserved, aligned - reserved));
        }
        if (aligned + length < reserved + whole) {
            Faults.ok(Faults.munmap(aligned + length, reserved + whole - aligned - length));
        }
        return aligned;
    }

    /** So many pages of a kind, from MemoryRegion where it offers the kind. */
    static TestMemory of(MemoryKind kind, int pages) throws IOException {
        int page = pageSize(kind);
        return switch (kind) {
            case ANONYMOUS -> new TestMemory(kind, page, MemoryRegion.anonymous((long) pages * page)).withoutHugePages();
            case SHMEM -> new TestMemory(kind, page, MemoryRegion.shared((long) pages * page));
            case HUGETLB_PRIVATE -> new TestMemory(kind, page, MemoryRegion.hugePages((long) pages * page, PageSize.of(page)));
            case SHMEM_PRIVATE, HUGETLB -> raw(kind, pages);
        };
    }

    /** Like {@link #of}, of a size that suits the kind. */
    static TestMemory of(MemoryKind kind) throws IOException {
        return of(kind, pages(kind));
    }

    /** Memory that no MemoryRegion owns: it may be moved and unmapped. */
    static TestMemory raw(MemoryKind kind, int pages) throws IOException {
        int page = pageSize(kind);
        return new TestMemory(kind, page, pages, page, true).withoutHugePages();
    }

    /** Memory whose file a program inherits that this JVM starts. */
    static TestMemory inherited(MemoryKind kind, int pages) throws IOException {
        int page = pageSize(kind);
        return new TestMemory(kind, page, pages, page, false).withoutHugePages();
    }

    /** Anonymous or shared memory that starts at a huge page's border and may have huge pages. */
    static TestMemory alignedForHugePages(MemoryKind kind, long length, long hugePage) {
        return new TestMemory(kind, PAGE, Math.toIntExact(length / PAGE), hugePage, true);
    }

    static TestMemory raw(MemoryKind kind) throws IOException {
        return raw(kind, pages(kind));
    }

    /** Private anonymous memory in which page i is filled with {@link #content}: what the tests copy from. */
    static TestMemory source(TestMemory like) throws IOException {
        TestMemory source = raw(MemoryKind.ANONYMOUS, Math.toIntExact(like.length / PAGE));
        for (int i = 0; i < like.pages(); i++) {
            Faults.setMemory(source.address + (long) i * like.page, like.page, content(i));
        }
        return source;
    }

    /** The byte that page i of a source is filled with, never 0. */
    static int content(int page) {
        return page % 251 + 1;
    }

    static int pages(MemoryKind kind) {
        return kind.isHuge() ? 4 : 16;
    }

    private static int pageSize(MemoryKind kind) throws IOException {
        if (kind.isHuge()) {
            HugePages.need();
            return Math.toIntExact(HugePages.SIZE);
        }
        return PAGE;
    }

    /** Where the system makes huge pages of its own accord, neighbours would be filled in together. */
    private TestMemory withoutHugePages() {
        if (!kind.isHuge() && Files.exists(ThpSupport.DIRECTORY)) {
            Faults.ok(Faults.madvise(address, length, Faults.MADV_NOHUGEPAGE));
        }
        return this;
    }

    long address() {
        return address;
    }

    /** The address of a page. */
    long at(int index) {
        return address + (long) index * page;
    }

    int pages() {
        return Math.toIntExact(length / page);
    }

    /** A second mapping of the same pages, which no userfaultfd watches; shared kinds only. */
    long alias() {
        assertTrue(alias != 0, () -> kind + " has no second mapping");
        return alias;
    }

    /** The memfd below memory that the test mapped itself. */
    int fd() {
        return fd;
    }

    /** A reserved range of the same size, aligned for it, to move memory to. */
    long reserve() {
        return reserve(length, page);
    }

    /** Skips the test where mremap(2) does not take the kind: huge pages before Linux 5.16. */
    static void needMovable(MemoryKind kind) throws IOException {
        try (TestMemory memory = raw(kind, 1)) {
            long elsewhere = memory.reserve();
            int refused = Faults.mremap(memory.address, memory.length, elsewhere);
            if (refused == 0) {
                memory.movedTo(elsewhere);
            } else {
                Faults.ok(Faults.munmap(elsewhere, memory.length));
            }
            assumeTrue(refused == 0, () -> "Linux " + Needs.system().kernel() + " cannot move " + kind + ": mremap(2) answers "
                    + Errno.name(-refused) + " (5.16)");
        }
    }

    /** The memory is at another address now. */
    void movedTo(long now) {
        address = now;
    }

    /** The memory was unmapped by the test: the addresses are not ours any more. */
    void forget() {
        mapped = false;
    }

    /** Takes the pages out of the mapping and out of the file below: they are missing. */
    void release() {
        if (fd >= 0 && !kind.isShared()) {
            // Writing to a private page leaves a page of zeros in the file, which is not missing afterwards; and before
            // Linux 5.18 madvise(2) refuses huge pages.
            Faults.ok(Faults.truncate(fd, 0));
            Faults.ok(Faults.truncate(fd, length));
        } else {
            Faults.ok(Faults.madvise(address, length, kind.isShared() ? Faults.MADV_REMOVE : Faults.MADV_DONTNEED));
        }
    }

    static boolean isWriteProtected(long pagemapEntry) {
        return (pagemapEntry >>> WRITE_PROTECTED_BIT & 1) != 0;
    }

    static boolean isPresent(long pagemapEntry) {
        return (pagemapEntry >>> PRESENT_BIT & 1) != 0;
    }

    /** Whether the page's entry in the page table has the write-protect mark. */
    boolean isWriteProtected(int index) {
        return isWriteProtected(Faults.pagemap(at(index)));
    }

    boolean isPresent(int index) {
        return isPresent(Faults.pagemap(at(index)));
    }

    /** The whole page is filled with one byte. It has to be there. */
    void assertFilled(int index, int value) throws IOException {
        try (TestMemory expected = raw(MemoryKind.ANONYMOUS, page / PAGE)) {
            Faults.setMemory(expected.address, page, value);
            assertTrue(Faults.sameMemory(at(index), expected.address, page), () -> "page " + index + " of " + kind
                    + " is not filled with " + value + " but begins with " + Native.directBuffer(at(index), 1).get(0));
        }
    }

    @Override
    public void close() {
        // A thread that still sleeps in a page would fault in addresses that are somebody else's soon.
        long deadline = System.nanoTime() + 2_000_000_000L;
        while (Faults.running() > 0 && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertEquals(0, Faults.running(), "threads of the test still run, the memory stays mapped");
        if (region != null) {
            region.close();
            return;
        }
        if (mapped) {
            Faults.ok(Faults.munmap(address, length));
        }
        if (alias != 0) {
            Faults.ok(Faults.munmap(alias, length));
        }
        if (fd >= 0) {
            Native.close(fd);
        }
    }
}
