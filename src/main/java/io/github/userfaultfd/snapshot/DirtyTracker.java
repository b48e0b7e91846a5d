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

/**
 * Tells which pages of a region were written since they were last asked for. The kernel itself takes note at the first write to
 * each page ({@code UFFD_FEATURE_WP_ASYNC}, Linux 6.7) and no thread waits for anybody; {@code PAGEMAP_SCAN} reads and re-arms.
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
 * took away, and all of a range whose scan failed. <b>Not seen</b> are writes that go around the mapping: through a region's
 * second mapping, write(2) to its memfd, or buffers registered with io_uring.
 *
 * <p>A region has one userfaultfd: one that is paged cannot be tracked, and the other way round. Methods can be called from any
 * thread, one at a time; on a closed tracker they throw {@link IllegalStateException}.
 *
 * @see <a href="https://docs.kernel.org/admin-guide/mm/pagemap.html">PAGEMAP_SCAN, admin-guide/mm/pagemap.rst</a>
 */
public final class DirtyTracker implements AutoCloseable {
    private static final int RANGES = 256;

    private final RegionOwner owner;
    private final Uffd uffd;
    private final Scratch ranges = new Scratch(RANGES * Abi.RANGE_LONGS);
    private long handle;
    private boolean scanning;

    private final class Service implements RegionOwner.Service {
        @Override
        public boolean fill(long offset, long length) {
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

    private DirtyTracker(RegionOwner owner) throws IOException {
        this.owner = owner;
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
                throw new UffdException("start", (int) -result, "tracking " + text());
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

    /**
     * Starts tracking; every page counts as clean from now on.
     *
     * @param region what to track
     * @return the running tracker
     * @throws UnsupportedFeaturesException if the kernel cannot do it (before Linux 6.7)
     * @throws UffdException if the kernel refuses
     * @throws IOException never otherwise
     * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
     */
    public static DirtyTracker start(MemoryRegion region) throws IOException {
        RegionOwner owner = RegionOwner.at(region.address());
        if (owner == null) {
            throw new IllegalStateException(region + " is closed");
        }
        owner.enter();
        try {
            synchronized (owner.startLock()) {
                return new DirtyTracker(owner);
            }
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

    private void check(String operation, long offset, long length) {
        Ranges.checkPages(operation, "offset", offset, length, owner.pageSize());
        Ranges.checkInside(operation, offset, length, owner.length());
    }

    private synchronized void scan(long offset, long length, boolean rearm, RangeConsumer consumer) {
        Objects.requireNonNull(consumer, "consumer");
        requireOpen();
        if (scanning) {
            throw new IllegalStateException("a consumer cannot ask the tracker that it is called by: " + this);
        }
        scanning = true;
        try {
            scanAndGive(offset, length, rearm, consumer);
        } finally {
            scanning = false;
        }
    }

    private void scanAndGive(long offset, long length, boolean rearm, RangeConsumer consumer) {
        int failed = Native.dirtyScan(handle, offset, length, rearm);
        if (failed < 0) {
            System.getLogger("io.github.userfaultfd").log(Level.WARNING, "a scan failed (errno " + -failed
                    + "), so everything counts as written: " + this);
        }
        boolean done = false;
        try {
            while (give(consumer)) {
                requireOpen(); // the consumer may have closed it
            }
            done = true;
        } finally {
            if (!done && rearm && handle != 0) {
                Native.dirtyKeep(handle);
            }
        }
    }

    /** Gives some ranges; false when there are no more. */
    private boolean give(RangeConsumer consumer) {
        int count = (int) ranges.pass(address -> Native.dirtyRanges(handle, address, RANGES));
        int given = 0;
        try {
            while (given < count) {
                int at = given++ * Abi.RANGE_LONGS;
                consumer.accept(ranges.get(at + Abi.RANGE_OFFSET), ranges.get(at + Abi.RANGE_LENGTH));
            }
        } finally {
            for (; given < count && handle != 0; given++) {
                int at = given * Abi.RANGE_LONGS;
                mark(ranges.get(at + Abi.RANGE_OFFSET), ranges.get(at + Abi.RANGE_LENGTH));
            }
        }
        return count == RANGES;
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
            uffd.close();
            owner.unclaim();
        }
    }

    private String text() {
        return "the region " + Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "DirtyTracker[" + text() + (uffd != null && handle == 0 ? ", closed" : "") + "]";
    }
}
