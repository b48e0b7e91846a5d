// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * Takes one snapshot of a region after the other while it is written. Between them it keeps the region registered and knows which
 * pages were written, so that each {@link #begin} protects only those, and each snapshot tells what {@link LiveSnapshot#changed}
 * since the one before.
 *
 * <pre>{@code
 * try (Snapshotter snapshotter = Snapshotter.of(region).memoryLimit(256 << 20).spillTo(directory).start()) {
 *     for (;;) {
 *         Thread.sleep(1000);
 *         try (LiveSnapshot snapshot = snapshotter.begin()) {
 *             snapshot.changed((offset, length) -> save(snapshot, offset, length));
 *         }
 *     }
 * }
 * }</pre>
 *
 * <p>A write to a protected page raises SIGBUS ({@code UFFD_FEATURE_SIGBUS}, write-protect mode, Linux 5.7; shared memory and huge
 * pages 5.19), and the handler of this library saves and opens the page on the writing thread, in C. That costs some ten
 * microseconds for the first write to a page after a begin, and nothing afterwards; reads cost nothing ever.
 *
 * <p><b>System calls that write into the region</b>, such as {@code FileChannel.read} into one of its buffers, fail with EFAULT on a
 * protected page: {@link #prepareWrite} first. Without it direct I/O (O_DIRECT, {@code ExtendedOpenOption.DIRECT}) into pages that
 * happen to be open does not fail, and what arrives after a begin is <b>in that image and not among the changes</b>.
 * <b>Not seen</b> are writes that go around the mapping: through a region's second
 * mapping, write(2) to its memfd, or buffers registered with io_uring. The kernel's merging of same pages (KSM) is ended for the
 * region, because it takes the protection away ({@code replace_page}, mm/ksm.c): nobody may ask for it again meanwhile, by madvise(2)
 * or {@code PR_SET_MEMORY_MERGE}.
 *
 * <p>A region that a {@code Pager} with engine INLINE fills can be snapshotted too: start the pager first and close it last. Pages that
 * were not brought yet are in the image as the source has them.
 *
 * <p>The snapshotter lives as long as its region even if it is not referred to. Methods can be called from any thread; on a closed
 * one they throw {@link IllegalStateException}.
 */
public final class Snapshotter implements AutoCloseable {
    private final RegionOwner owner;
    private final WriteProtect protect;
    private volatile @Nullable LiveSnapshot current;
    private final WriteWindows windows = new WriteWindows(this);

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
        public int takesAway(long offset, long length) {
            return protect.open(offset, length);
        }

        @Override
        public void tookAway(long offset, long length) {
            // Saved before, and open until the next snapshot begins.
        }

        @Override
        public void regionCloses() {
            close();
        }

        @Override
        public String toString() {
            return Snapshotter.this.toString();
        }
    }

    Snapshotter(SnapshotterBuilder options) throws IOException {
        owner = options.owner;
        protect = new WriteProtect(new Service(), options);
    }

    /**
     * Describes a snapshotter; {@link SnapshotterBuilder#start} makes it.
     *
     * @param region what to take snapshots of
     * @return a builder
     */
    public static SnapshotterBuilder of(MemoryRegion region) {
        return new SnapshotterBuilder(RegionOwner.of(region, region.address()));
    }

    /**
     * Begins a snapshot: what the region holds at this moment is the image. Each write that was finished before is in it, and no
     * write that starts after the return. Protecting the pages that were written since the last begin takes some 30 ms a GiB of
     * small pages; a writing thread is held up for a small part of it. Waits until no {@link WriteWindow} is open.
     *
     * @return the snapshot
     * @throws UffdException if the kernel refuses; what was written stays noted as changed
     * @throws IllegalStateException if a snapshot is open: there is one at a time
     */
    public synchronized LiveSnapshot begin() throws IOException {
        return begin(() -> { });
    }

    synchronized LiveSnapshot begin(Runnable atEnd) throws IOException {
        while (windows.isAnyOpen()) {
            requireOpen();
            try {
                wait();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while a WriteWindow is open: " + this, e);
            }
        }
        requireOpen();
        if (current != null) {
            throw new IllegalStateException("a snapshot is open already, close it first: " + this);
        }
        long handle = protect.handle();
        // Nobody may discard pages meanwhile: they lose their protection with it.
        owner.pages().writeLock().lock();
        try {
            int failed = Native.snapshotBegin(handle);
            if (failed < 0) {
                throw new UffdException("begin", -failed, "of a snapshot of " + text());
            }
        } finally {
            owner.pages().writeLock().unlock();
        }
        current = new LiveSnapshot(this, handle, atEnd);
        return current;
    }

    /**
     * Saves and opens the pages of a range, so that a system call can write to it: {@code FileChannel.read}, a socket's, any. They
     * stay open until the window is closed; no snapshot begins meanwhile. They count as changed.
     *
     * <pre>{@code
     * try (WriteWindow window = snapshotter.prepareWrite(offset, length)) {
     *     channel.read(region.asByteBuffer(offset, length));
     * }
     * }</pre>
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @return closed when the system call is over
     * @throws UffdException if the kernel refuses
     * @throws IOException if the region is paged and a page cannot be had
     */
    public synchronized WriteWindow prepareWrite(long offset, long length) throws IOException {
        Ranges.checkInside("prepareWrite", offset, length, owner.length());
        requireOpen();
        protect.prepareWrite(offset, length);
        return windows.open(() -> { });
    }

    /** The snapshot is over. */
    synchronized void ended(LiveSnapshot snapshot) {
        if (current == snapshot) {
            current = null;
        }
    }

    private void requireOpen() {
        if (protect.isClosed()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    RegionOwner owner() {
        return owner;
    }

    /** Ends the open snapshot, if there is one, and lifts all protection; the region is ordinary memory afterwards. */
    @Override
    public void close() {
        while (!closeIfIdle()) {
            LiveSnapshot open = current;
            if (open != null) {
                open.close();
            }
        }
    }

    private synchronized boolean closeIfIdle() {
        if (current == null) {
            protect.close();
            notifyAll();
        }
        return current == null;
    }

    String text() {
        return "the region " + Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "Snapshotter[" + text() + (protect != null && protect.isClosed() ? ", closed" : "") + "]";
    }
}
