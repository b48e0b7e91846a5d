// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Objects;
import java.util.function.LongUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Tells which pages of a region were written since they were last asked for. The kernel itself takes note at the first write to
 * each page ({@code UFFD_FEATURE_WP_ASYNC}, Linux 6.7) and no thread waits for anybody; {@code PAGEMAP_SCAN} reads and re-arms. On
 * older kernels (Linux 5.7; 5.19 for shared memory and huge pages) the library takes note: the writing thread itself, in a SIGBUS
 * handler in C, and whoever writes while pages are armed waits until that is done.
 *
 * <pre>{@code
 * try (DirtyTracker tracker = DirtyTracker.start(region)) {
 *     for (;;) {
 *         Thread.sleep(1000);
 *         tracker.collect((offset, length) -> save(region, offset, length));
 *     }
 * }
 * }</pre>
 *
 * <p>No write through the region's mapping is ever missed between two calls of {@link #collect}, and a page is told by the system's
 * page size. Reported without having been written: pages that {@link MemoryRegion#discard} or {@link MemoryRegion#punchHole}
 * took away, of a region with a pager those that two threads touched for the first time at the same moment, and all of a range whose
 * scan failed. <b>Not seen</b> are writes that go around the mapping: through a region's second mapping, write(2) to its memfd, or
 * buffers registered with io_uring; and, without {@link #prepareWrite}, what direct I/O brings after a collect that began while it was
 * under way. On kernels before 6.7, pages are told by the region's page size, and system calls that write to the region, such as
 * {@code FileChannel.read} into one of its buffers, need {@link #prepareWrite}: without it they fail with EFAULT on a page that was
 * not written since the last collect.
 *
 * <p>A region that a {@code Pager} with engine INLINE fills can be tracked too, as on older kernels: start the pager first and close it
 * last. Methods can be called from any
 * thread; a second scan waits for the first. On a closed tracker they throw {@link IllegalStateException}. Consumers are called
 * without a lock, so the tracker and the region can be closed meanwhile; the scan then throws.
 *
 * @see <a href="https://docs.kernel.org/admin-guide/mm/pagemap.html">PAGEMAP_SCAN, admin-guide/mm/pagemap.rst</a>
 */
public final class DirtyTracker implements AutoCloseable {
    private static final int RANGES = 256;

    private final RegionOwner owner;
    /** One of them: the kernel takes note, or the library does. */
    private final @Nullable Uffd uffd;
    private final @Nullable WriteProtect protect;
    private final Scratch ranges = new Scratch(RANGES * Abi.RANGE_LONGS);
    private long handle;
    /** Made once: a steady loop allocates nothing, however it is compiled. */
    private final LongUnaryOperator takeRanges = this::takeRanges;
    private final WriteWindows windows = new WriteWindows(this);
    /** Who has a scan under way, null if nobody does. */
    private @Nullable Thread scanner;

    private final class Service implements RegionOwner.Service {
        @Override
        public boolean fill(long offset, long length) {
            return false;
        }

        @Override
        public boolean bringsPages() {
            return false;
        }

        @Override
        public void tookAway(long offset, long length) {
            mark(offset, length);
        }

        @Override
        public void regionCloses() {
            close();
        }

        @Override
        public String toString() {
            return DirtyTracker.this.toString();
        }
    }

    /** By the kernel. */
    private DirtyTracker(RegionOwner owner) throws IOException {
        this.owner = owner;
        protect = null;
        Uffd open = null;
        long result = 0;
        owner.claim(new Service());
        try {
            UffdBuilder builder = new UffdBuilder().closeOnExec(true).requireFeatures(Feature.WP_ASYNC, Feature.WP_UNPOPULATED);
            if (owner.kind() != Abi.MEMORY_ANONYMOUS) {
                builder.requireFeatures(Feature.WP_HUGETLBFS_SHMEM);
            }
            open = builder.create();
            result = Native.dirtyStart(open.fd(), owner.address(), owner.length());
            if (result < 0) {
                throw refused(result);
            }
        } finally {
            if (result <= 0) {
                owner.unclaim();
                if (open != null) {
                    open.close();
                }
            }
        }
        uffd = open;
        handle = result;
    }

    /** By inline write-protect. */
    private DirtyTracker(SnapshotterBuilder options) throws IOException {
        owner = options.owner;
        uffd = null;
        protect = new WriteProtect(new Service(), options.startUnchanged(true));
        handle = Native.dirtyStartInline(protect.handle());
        if (handle < 0) {
            protect.close();
            throw refused(handle);
        }
    }

    private UffdException refused(long errno) {
        return new UffdException("start", (int) -errno, "tracking " + text());
    }

    /**
     * Starts tracking; every page counts as clean from now on.
     *
     * @param region what to track
     * @return the running tracker
     * @throws UnsupportedFeaturesException if the kernel cannot do it either way
     * @throws UffdException if the kernel refuses, or, before Linux 6.7, other code of this process has taken the SIGBUS handler
     * @throws IOException never otherwise
     * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
     */
    public static DirtyTracker start(MemoryRegion region) throws IOException {
        RegionOwner.Service service = RegionOwner.of(region, region.address()).service();
        if (service != null && service.pager() != 0) {
            return startInline(region, false); // with the pager's descriptor
        }
        try {
            return start(region, DirtyTracker::new);
        } catch (UnsupportedFeaturesException e) {
            if (!e.missing().contains(Feature.WP_ASYNC)) {
                throw e;
            }
            return startInline(region, false);
        }
    }

    /** For tests as well: without the kernel's own notes, and also without its protecting of pages that were never touched. */
    static DirtyTracker startInline(MemoryRegion region, boolean leaveOutUnpopulated) throws IOException {
        return start(region, owner -> {
            SnapshotterBuilder options = new SnapshotterBuilder(owner);
            return new DirtyTracker(leaveOutUnpopulated ? options.leaveOutUnpopulated() : options);
        });
    }

    private interface Start {
        DirtyTracker by(RegionOwner owner) throws IOException;
    }

    private static DirtyTracker start(MemoryRegion region, Start start) throws IOException {
        RegionOwner owner = RegionOwner.of(region, region.address());
        owner.enter();
        try {
            return owner.startProtecting(() -> start.by(owner));
        } finally {
            owner.exit();
        }
    }

    /**
     * Gives the ranges written since the last collect, and arms them again in the same step: a write meanwhile is in this report or
     * in the next. If the consumer throws, what it has not been given yet is in the next report.
     *
     * @param consumer called for each range, on this thread
     */
    public void collect(RangeConsumer consumer) {
        scan(0, owner.length(), true, consumer);
    }

    /**
     * Like {@link #collect(RangeConsumer)}, for a part of the region.
     *
     * @param offset where the part begins, a multiple of the region's page size
     * @param length in bytes, a multiple of the region's page size
     * @param consumer called for each range, on this thread
     */
    public void collect(long offset, long length, RangeConsumer consumer) {
        check("collect", offset, length);
        scan(offset, length, true, consumer);
    }

    /**
     * Gives the ranges written since the last collect and leaves them as they are.
     *
     * @param consumer called for each range, on this thread
     */
    public void peek(RangeConsumer consumer) {
        scan(0, owner.length(), false, consumer);
    }

    /**
     * Like {@link #peek(RangeConsumer)}, for a part of the region.
     *
     * @param offset where the part begins, a multiple of the region's page size
     * @param length in bytes, a multiple of the region's page size
     * @param consumer called for each range, on this thread
     */
    public void peek(long offset, long length, RangeConsumer consumer) {
        check("peek", offset, length);
        scan(offset, length, false, consumer);
    }

    /** {@return how many bytes were written since the last collect, in whole pages} */
    public long dirtyBytes() {
        long[] sum = new long[1];
        peek((offset, length) -> sum[0] += length);
        return sum[0];
    }

    /**
     * Makes a range ready for a system call that writes to it. Needed where the library takes note (before Linux 6.7, or with a
     * pager), because such calls fail with EFAULT on a page that was not written since the last collect; there a collect waits until
     * no window is open. Needed everywhere for direct I/O (O_DIRECT, {@code ExtendedOpenOption.DIRECT}) and whatever else writes to
     * pages that it pinned before: the kernel takes note when it pins them, and the bytes come later.
     *
     * <pre>{@code
     * try (WriteWindow window = tracker.prepareWrite(offset, length)) {
     *     channel.read(region.asByteBuffer(offset, length));
     * }
     * }</pre>
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @return closed when the system call is over; the next collect reports the range then, written or not
     * @throws UffdException if the kernel refuses
     * @throws IOException if the region is paged and a page cannot be had
     */
    public synchronized WriteWindow prepareWrite(long offset, long length) throws IOException {
        Ranges.checkInside("prepareWrite", offset, length, owner.length());
        requireOpen();
        if (protect != null) {
            protect.prepareWrite(offset, length);
        }
        return windows.open(() -> note(offset, length));
    }

    private void check(String operation, long offset, long length) {
        Ranges.checkPages(operation, "offset", offset, length, owner.pageSize());
        Ranges.checkInside(operation, offset, length, owner.length());
    }

    private void scan(long offset, long length, boolean rearm, RangeConsumer consumer) {
        Objects.requireNonNull(consumer, "consumer");
        beginScan(offset, length, rearm);
        boolean done = false;
        try {
            for (int count = RANGES; count == RANGES;) {
                count = nextRanges();
                give(count, consumer);
            }
            done = true;
        } finally {
            endScan(!done && rearm);
        }
    }

    private synchronized void beginScan(long offset, long length, boolean rearm) {
        if (scanner == Thread.currentThread()) {
            throw new IllegalStateException("a consumer cannot ask the tracker that it is called by: " + this);
        }
        boolean interrupted = false;
        while (scanner != null || rearm && protect != null && handle != 0 && windows.isAnyOpen()) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        requireOpen();
        int failed = Native.dirtyScan(handle, offset, length, rearm);
        if (failed < 0) {
            System.getLogger("io.github.userfaultfd").log(Level.WARNING, "a scan failed (errno " + -failed
                    + "), so everything counts as written: " + this);
        }
        scanner = Thread.currentThread();
    }

    private synchronized int nextRanges() {
        requireOpen(); // the consumer, or another thread, may have closed it
        return (int) ranges.pass(takeRanges);
    }

    private long takeRanges(long address) {
        return Native.dirtyRanges(handle, address, RANGES);
    }

    private void give(int count, RangeConsumer consumer) {
        int given = 0;
        try {
            while (given < count) {
                int at = given++ * Abi.RANGE_LONGS;
                consumer.accept(ranges.get(at + Abi.RANGE_OFFSET), ranges.get(at + Abi.RANGE_LENGTH));
            }
        } finally {
            for (; given < count; given++) {
                int at = given * Abi.RANGE_LONGS;
                note(ranges.get(at + Abi.RANGE_OFFSET), ranges.get(at + Abi.RANGE_LENGTH));
            }
        }
    }

    private synchronized void note(long offset, long length) {
        if (handle != 0 && length > 0) {
            Native.dirtyNote(handle, offset, length);
        }
    }

    private synchronized void endScan(boolean keep) {
        scanner = null;
        notifyAll();
        if (keep && handle != 0) {
            Native.dirtyKeep(handle);
        }
    }

    private synchronized void mark(long offset, long length) {
        if (handle != 0) {
            int failed = Native.dirtyMark(handle, offset, length);
            if (failed < 0) {
                throw new IllegalStateException("cannot protect " + offset + ", " + length + " bytes of " + text() + ": errno "
                        + -failed);
            }
        }
    }

    private void requireOpen() {
        if (handle == 0) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /** Ends tracking; the region is ordinary memory afterwards. A second close does nothing. */
    @Override
    public synchronized void close() {
        if (handle != 0) {
            Native.dirtyStop(handle);
            handle = 0;
            notifyAll();
            if (protect != null) {
                protect.close();
            }
            if (uffd != null) {
                uffd.close();
                owner.unclaim();
            }
        }
    }

    private String text() {
        return "the region " + Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "DirtyTracker[" + text() + ((uffd != null || protect != null) && handle == 0 ? ", closed" : "") + "]";
    }
}
