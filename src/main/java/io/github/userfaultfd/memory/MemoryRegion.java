// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.memory;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.HugePagePool;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Net;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionBuffers;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.BitSet;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Page-aligned memory outside of the heap, of any size, whose pages come when they are touched. Offsets and lengths are in
 * bytes from the region's start. All methods can be called from any thread; on a closed region they throw
 * {@link IllegalStateException}, but for {@link #address}, {@link #size} and {@link #pageSize}, which stay what they were.
 *
 * <p>After {@link #close} the physical memory is gone at once. A buffer that is used later throws IllegalStateException on JDK
 * 22 and newer, if it was made with at most {@code Integer.MAX_VALUE - 8} bytes. On older JDKs, and for longer buffers, <b>such a
 * late access may crash the JVM</b>, as one to a truncated mapped file may; it never reads or writes somebody else's memory,
 * because the addresses stay taken until no buffer is reachable.
 */
public final class MemoryRegion implements AutoCloseable {
    /** Buffers are slices of one buffer for each window: it starts at a multiple of this and is as long as a buffer can be. */
    private static final long WINDOW = 1L << 30;
    /** What an array of windows can cover; s390x has addresses for more. */
    private static final long LONGEST = WINDOW * (1 << 20);

    private final RegionOwner owner;
    private final RegionBuffers buffers = RegionBuffers.create();
    private final AtomicReferenceArray<ByteBuffer> windows;
    private final Cleaner.Cleanable net;
    private volatile @Nullable Object watched;

    private MemoryRegion(RegionOwner owner) {
        this.owner = owner;
        windows = new AtomicReferenceArray<>(Math.toIntExact((owner.length() - 1) / WINDOW + 1));
        net = Net.watch(this, owner);
        owner.belongsTo(this);
    }

    /**
     * Maps private anonymous memory, mmap(2) with MAP_NORESERVE.
     *
     * @param bytes how much, rounded up to whole pages
     * @return the region
     * @throws UffdException ENOMEM: no room, or a limit on address space
     */
    public static MemoryRegion anonymous(long bytes) throws UffdException {
        return map("anonymous", Abi.MEMORY_ANONYMOUS, bytes, Ranges.PAGE);
    }

    /**
     * Maps shared memory, memfd_create(2), twice: the second mapping of the same pages ({@link #aliasAddress}) is for whoever
     * makes them. A userfaultfd on this region sees nothing of accesses through the second one, and a page that is missing becomes
     * zeros when it is touched there.
     *
     * @param bytes how much, rounded up to whole pages
     * @return the region
     * @throws UffdException ENOMEM: no room; EMFILE: no descriptor
     */
    public static MemoryRegion shared(long bytes) throws UffdException {
        return map("shared", Abi.MEMORY_SHARED, bytes, Ranges.PAGE);
    }

    /**
     * Maps private huge pages (hugetlbfs), which somebody has to have reserved before.
     *
     * @param bytes how much, rounded up to whole pages
     * @param pageSize their size
     * @return the region
     * @throws UffdException ENOMEM: not enough are free; EINVAL or ENOENT: this system has no pages of that size
     */
    public static MemoryRegion hugePages(long bytes, PageSize pageSize) throws UffdException {
        long page = pageSize.bytes();
        if (page <= Ranges.PAGE) {
            throw new IllegalArgumentException("hugePages: pages of " + page + " bytes are not larger than the system's, "
                    + Ranges.PAGE);
        }
        return map("hugePages", Abi.MEMORY_HUGE, bytes, page);
    }

    private static MemoryRegion map(String operation, int kind, long bytes, long page) throws UffdException {
        long length = Ranges.roundUp(operation, bytes, page);
        if (length > LONGEST) {
            throw new UffdException(operation, Abi.ENOMEM, "of " + length + " bytes", "no region is longer than " + LONGEST);
        }
        Scratch memory = new Scratch(Abi.MEMORY_LONGS);
        int failed = (int) memory.pass(address -> Native.mapMemory(kind, length, page, address));
        if (failed < 0) {
            throw new UffdException(operation, -failed, "of " + length + " bytes", advice(-failed, kind, length, page));
        }
        return new MemoryRegion(new RegionOwner(kind, length, page, memory));
    }

    private static String advice(int errno, int kind, long length, long page) {
        if (errno == Abi.EMFILE || errno == Abi.ENFILE) {
            return Errno.meaning(errno);
        }
        if (kind != Abi.MEMORY_HUGE) {
            return "the system does not give that much memory or address space";
        }
        return HugePagePool.of(page).map(pool -> length / page + " huge pages of " + page + " bytes are needed and "
                + pool.available() + " are free and not reserved (remedy, as root: write the number to " + pool.directory()
                + "/nr_hugepages)").orElse("this system has no huge pages of " + page + " bytes");
    }

    /** {@return the address of the first byte, a multiple of the page size} */
    public long address() {
        return owner.address();
    }

    /** {@return the size in bytes, a multiple of the page size} */
    public long size() {
        return owner.length();
    }

    /** {@return the size of the region's pages in bytes} */
    public long pageSize() {
        return owner.pageSize();
    }

    /**
     * {@return the address of the second mapping of the same pages}
     *
     * <p>From the first call of this or of {@link #asAliasByteBuffer} on the second mapping can be touched, and a missing page that is
     * touched there becomes zeros and is not missing any more: by a thread, by mlockall(2), or by whoever reads the process's memory.
     * Forked children do not have it, and core dumps leave it out.
     *
     * @throws UnsupportedOperationException if the region is not {@link #shared}
     * @throws IllegalStateException if a pager brings the region's pages
     */
    public long aliasAddress() {
        requireShared("aliasAddress");
        owner.enter();
        try {
            return owner.openAlias();
        } finally {
            owner.exit();
        }
    }

    /**
     * {@return the descriptor of the memfd below a {@link #shared} region, which the region closes}
     *
     * <p>For a userfaultfd a page that is written to the memfd, or touched in another mapping of it, is there.
     *
     * @throws UnsupportedOperationException if the region is not {@link #shared}
     */
    public int memoryFd() {
        requireShared("memoryFd");
        requireOpen();
        return owner.memoryFd();
    }

    private void requireOpen() {
        owner.enter();
        owner.exit();
    }

    private void requireShared(String operation) {
        if (owner.alias() == 0) {
            throw new UnsupportedOperationException(operation + ": only a shared region has it");
        }
    }

    /**
     * A buffer over a part of the region, in the processor's byte order.
     *
     * @param offset where it begins
     * @param length its capacity
     * @return a direct buffer
     * @throws IndexOutOfBoundsException if the part is not inside the region
     */
    public ByteBuffer asByteBuffer(long offset, int length) {
        Ranges.checkInside("asByteBuffer", offset, length, size());
        owner.enter();
        try {
            int index = (int) (Math.min(offset, size() - 1) / WINDOW);
            long within = offset - index * WINDOW;
            boolean fits = within + length <= RegionBuffers.LONGEST_OF_SEGMENT;
            ByteBuffer master = fits ? window(index) : master(address() + offset, length);
            return master.slice(fits ? (int) within : 0, length).order(ByteOrder.nativeOrder());
        } finally {
            owner.exit();
        }
    }

    /**
     * A buffer over a part of the second mapping of a {@link #shared} region, with what {@link #aliasAddress} says of missing pages.
     *
     * @param offset where it begins
     * @param length its capacity
     * @return a direct buffer
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws UnsupportedOperationException if the region is not {@link #shared}
     * @throws IllegalStateException if a pager brings the region's pages
     */
    public ByteBuffer asAliasByteBuffer(long offset, int length) {
        requireShared("asAliasByteBuffer");
        Ranges.checkInside("asAliasByteBuffer", offset, length, size());
        owner.enter();
        try {
            return master(owner.openAlias() + offset, length).slice().order(ByteOrder.nativeOrder());
        } finally {
            owner.exit();
        }
    }

    private ByteBuffer window(int index) {
        ByteBuffer master = windows.get(index);
        if (master == null) {
            long start = index * WINDOW;
            master = master(address() + start, (int) Math.min(RegionBuffers.LONGEST_OF_SEGMENT, size() - start));
            if (!windows.compareAndSet(index, null, master)) {
                master = windows.get(index);
            }
        }
        return master;
    }

    /** A buffer that keeps the addresses taken while it, or a slice of it, is reachable. */
    private ByteBuffer master(long at, int length) {
        ByteBuffer master = buffers.create(at, length);
        Object kept = buffers.keptBy(master);
        if (kept != watched) {
            owner.hold();
            Net.watch(kept, owner::drop);
            // What all buffers have in common is watched once, or each buffer would cost memory until the region ends.
            watched = kept == master ? watched : kept;
        }
        return master;
    }

    /**
     * Returns when every page of a range is there, touched from native code: a thread in native code does not hold up a
     * safepoint, so this is the safe way to have a page that Java code of this JVM provides. Blocks as long as whoever
     * resolves the faults takes, and {@link #close} waits for it: a {@code Uffd} that should have resolved them has to be closed
     * before the region.
     *
     * @param offset where the range begins
     * @param length its length
     * @throws UffdException EFAULT: a page is poisoned or cannot be had
     * @throws IOException if the source of the pages failed
     */
    public void fetch(long offset, long length) throws IOException {
        Ranges.checkInside("fetch", offset, length, size());
        if (length == 0) {
            requireOpen();
            return;
        }
        long page = pageSize();
        long from = offset / page * page;
        long to = (offset + length + page - 1) / page * page;
        owner.enter();
        try {
            RegionOwner.Service service = owner.startedService();
            if (service != null && service.fill(from, to - from)) {
                return;
            }
            int failed = Native.touch(address() + from, to - from, page);
            if (failed < 0) {
                throw new UffdException("fetch", -failed, "at offset " + from + ", " + (to - from) + " bytes",
                        "a page of the range is poisoned, or the memory below it cannot be had");
            }
        } finally {
            owner.exit();
        }
    }

    /**
     * A buffer whose pages are all there: {@link #fetch} and {@link #asByteBuffer} in one. For buffers that are handed to system
     * calls, such as those of channels and sockets: the kernel does not wait for a missing page there but fails with EFAULT.
     *
     * @param offset where it begins
     * @param length its capacity
     * @return a direct buffer
     * @throws IOException if a page cannot be had
     */
    public ByteBuffer fetchBuffer(long offset, int length) throws IOException {
        ByteBuffer buffer = asByteBuffer(offset, length);
        fetch(offset, length);
        return buffer;
    }

    /**
     * Takes pages out of this mapping, madvise(2) with MADV_DONTNEED: they are missing again. Private memory loses what was
     * written; shared memory keeps it and maps it again at the next access. Huge pages: Linux 5.18.
     *
     * @param offset a multiple of the page size
     * @param length a multiple of the page size
     * @throws UffdException if the kernel refuses
     */
    public void discard(long offset, long length) throws UffdException {
        takeAway("discard", offset, length, Native::discard);
    }

    /**
     * Gives pages of shared memory back to the system, madvise(2) with MADV_REMOVE: they are missing again in each mapping.
     *
     * @param offset a multiple of the page size
     * @param length a multiple of the page size
     * @throws UffdException EINVAL, or EACCES for huge pages: private memory, which has {@link #discard} instead
     */
    public void punchHole(long offset, long length) throws UffdException {
        takeAway("punchHole", offset, length, Native::punchHole);
    }

    /**
     * Tells which pages are in memory, mincore(2). For shared memory: in the page cache, mapped or not.
     *
     * @param offset a multiple of the page size
     * @param length a multiple of the page size
     * @return bit i is set if the page at {@code offset + i * pageSize()} is there
     * @throws UffdException if the kernel refuses
     * @throws IllegalArgumentException if these are more pages than a BitSet has bits, 2147483647: ask for parts
     */
    public BitSet residentPages(long offset, long length) throws UffdException {
        check("residentPages", offset, length);
        if (length / pageSize() > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("residentPages: " + length / pageSize() + " pages, more than a BitSet has bits, "
                    + Integer.MAX_VALUE + ": ask for parts");
        }
        long words = (length / pageSize() + Long.SIZE - 1) / Long.SIZE;
        Scratch bits = new Scratch(Math.toIntExact(words));
        owner.enter();
        try {
            int failed = (int) bits.pass(address -> Native.residency(address() + offset, length, pageSize(), address));
            if (failed < 0) {
                throw new UffdException("residentPages", -failed, "at offset " + offset + ", " + length + " bytes");
            }
        } finally {
            owner.exit();
        }
        return BitSet.valueOf(bits.longs());
    }

    @FunctionalInterface
    private interface Advice {
        int give(long address, long length);
    }

    /** Locks out whoever is about to rely on no page being missing, such as a pager that closes. */
    private void takeAway(String operation, long offset, long length, Advice advice) throws UffdException {
        check(operation, offset, length);
        owner.enter();
        owner.pages().readLock().lock();
        try {
            int failed = owner.takesAway(offset, length);
            if (failed == 0) {
                failed = advice.give(address() + offset, length);
                // Also when it failed: the kernel may have come to some of the pages.
                owner.tookAway(offset, length);
            }
            if (failed < 0) {
                throw new UffdException(operation, -failed, "at offset " + offset + ", " + length + " bytes");
            }
        } finally {
            owner.pages().readLock().unlock();
            owner.exit();
        }
    }

    private void check(String operation, long offset, long length) {
        Ranges.checkPages(operation, "offset", offset, length, pageSize());
        Ranges.checkInside(operation, offset, length, size());
    }

    /**
     * Ends the region: pagers, trackers and snapshotters of it stop, and its physical memory is given back. Waits for calls under
     * way. A {@code Uffd} on the region is to be closed first, or a {@link #fetch} that waits for it, and this call, wait for good. A
     * second close does nothing.
     *
     * @throws IllegalStateException on JDK 22 and newer, if a call under way uses a buffer of the region; it stays open then
     */
    @Override
    public void close() {
        if (owner.close(buffers)) {
            net.clean();
        }
    }

    @Override
    public String toString() {
        return "MemoryRegion[" + size() + " bytes at 0x" + Long.toHexString(address()) + ", pages of "
                + pageSize() + (owner.isClosed() ? ", closed" : "") + "]";
    }
}
