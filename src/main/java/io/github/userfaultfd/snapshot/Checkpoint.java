// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.checkpoint.CheckpointChain;
import io.github.userfaultfd.checkpoint.CheckpointDirectory;
import io.github.userfaultfd.checkpoint.CheckpointFile;
import io.github.userfaultfd.checkpoint.CheckpointIndex;
import io.github.userfaultfd.checkpoint.CheckpointWriter;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * A series of checkpoints of a region in a directory, taken while the region is written: first a full one, then increments that have
 * the pages changed since. Each is the image of one instant. What {@link #save} has returned survives whatever happens to this
 * process; a crash at any instant leaves the last complete checkpoint.
 *
 * <pre>{@code
 * try (Checkpoint checkpoint = Checkpoint.of(region, directory).open()) {
 *     for (;;) {
 *         Thread.sleep(1000);
 *         checkpoint.save();
 *     }
 * }
 * }</pre>
 *
 * <p>Restored all at once by {@link #restore}, or lazily by a pager with {@code PageSource.checkpoint(directory)} of package
 * {@code paging}, compressed ones only at once. Every run of pages has a checksum, which is looked at before a page of it is used;
 * a damaged file is named with the offset. The file format is described in docs/checkpoints.md.
 *
 * <p>The directory has to be on a local file system, with room for two full checkpoints and the increments between them; one
 * process at a time writes to it. The region is served by a {@link Snapshotter}, so whatever that says of system calls, of
 * writes that go around the mapping, and of regions that are paged holds here too. Methods can be called from any
 * thread, one at a time; on a closed series they throw {@link IllegalStateException}.
 */
public final class Checkpoint implements AutoCloseable {
    private static final int PIECE = 1 << 20;

    private final CheckpointDirectory directory;
    private final Snapshotter snapshotter;
    private final RegionOwner owner;
    private final long regionSize;
    private final long pageSize;
    private final boolean compress;
    private final int mostIncrements;
    private final ByteBuffer piece;
    private final int longestRun;
    /** The last complete checkpoint; null if the next one has to be full. */
    private CheckpointWriter.@Nullable Base base;
    private long number;
    private long fullBytes;
    private long incrementBytes;
    private int increments;
    private boolean closed;

    Checkpoint(CheckpointBuilder options) throws IOException {
        owner = options.snapshots.owner;
        regionSize = owner.length();
        pageSize = owner.pageSize();
        compress = options.compression == Compression.ZSTD;
        mostIncrements = options.increments;
        longestRun = CheckpointWriter.longestRun(pageSize);
        if (!CheckpointWriter.fit(runs(regionSize))) {
            throw new IllegalArgumentException("a checkpoint of " + regionSize + " bytes in runs of " + longestRun
                    + " has an index that is too large: take several regions, or huge pages");
        }
        piece = ByteBuffer.allocateDirect(Math.max(PIECE / longestRun, 1) * longestRun);
        if (compress) {
            CheckpointWriter.requireCompression();
        }
        directory = CheckpointDirectory.lock(options.directory);
        boolean started = false;
        try {
            readNewest(options.snapshots.startUnchanged);
            snapshotter = options.snapshots.start();
            started = true;
        } finally {
            if (!started) {
                directory.close();
            }
        }
    }

    /**
     * Describes a series of checkpoints; {@link CheckpointBuilder#open} makes it.
     *
     * @param region what to save
     * @param directory where to, an existing directory; what other files it has is left alone
     * @return a builder
     */
    public static CheckpointBuilder of(MemoryRegion region, Path directory) {
        return of(Snapshotter.of(region), directory);
    }

    /**
     * Like {@link #of(MemoryRegion, Path)}, with the options of the snapshots. One of them has a meaning here:
     * {@link SnapshotterBuilder#startUnchanged} says that nobody has written to the region since it was restored from the directory or
     * saved there, so that the first save can be an increment. It is a full one nevertheless if what the region holds is not the
     * directory's newest checkpoint any more, because somebody else has saved one meanwhile.
     *
     * @param snapshots says what to save, and how much memory that may take meanwhile; not started
     * @param directory where to, an existing directory; what other files it has is left alone
     * @return a builder
     */
    public static CheckpointBuilder of(SnapshotterBuilder snapshots, Path directory) {
        return new CheckpointBuilder(snapshots, directory);
    }

    /** Goes on after what the directory has. That a region of another kind was saved there is no reason to delete it. */
    private void readNewest(boolean goOn) throws IOException {
        try (CheckpointChain chain = CheckpointChain.openIfAny(directory.path())) {
            if (chain == null) {
                return;
            }
            chain.checkFits(regionSize, pageSize);
            number = chain.newest().number();
            directory.deleteBelow(chain.files().getFirst().number());
            // Somebody else may have saved since the region was restored.
            if (goOn && chain.newest().id() == owner.image()) {
                base = new CheckpointWriter.Base(number, chain.newest().id());
                increments = chain.files().size() - 1;
                fullBytes = chain.files().getFirst().bytes();
                incrementBytes = chain.files().stream().mapToLong(CheckpointFile::bytes).sum() - fullBytes;
            }
        }
    }

    /**
     * Saves the region as it is at one instant during the call; returns when that is durable. Writers go on meanwhile: they are held up
     * while the snapshot begins, see {@link Snapshotter#begin}. If nothing was written since the last checkpoint, no file is.
     *
     * @return the number of the checkpoint that holds the region's content, always more than the one before if anything was written
     * @throws UffdException ENOSPC: the snapshot is lost, because the pages saved from writers outgrew their limit
     * @throws IOException if the checkpoint cannot be written, as on a full disk. The last one is still there, and the next call
     *     saves what this one would have
     */
    public synchronized long save() throws IOException {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
        try (LiveSnapshot snapshot = snapshotter.begin()) {
            boolean saved = false;
            try {
                if (base == null || snapshot.changedBytes() > 0) {
                    save(snapshot);
                }
                saved = true;
            } finally {
                if (!saved) {
                    snapshot.keepChanged();
                }
            }
        }
        return number;
    }

    private long runs(long bytes) {
        return (bytes + longestRun - 1) / longestRun;
    }

    private boolean fitsIncrement(LiveSnapshot snapshot) {
        long[] runs = {0};
        snapshot.changed((offset, length) -> runs[0] += runs(length));
        return CheckpointWriter.fit(runs[0]);
    }

    private void save(LiveSnapshot snapshot) throws IOException {
        boolean full = base == null || increments >= mostIncrements || incrementBytes > fullBytes || !fitsIncrement(snapshot);
        long id = ThreadLocalRandom.current().nextLong();
        CheckpointWriter writer = CheckpointWriter.create(directory.path(), number + 1, full ? null : base, id, regionSize,
                pageSize, compress);
        try (writer) {
            if (full) {
                add(snapshot, 0, regionSize, writer);
            } else {
                addChanged(snapshot, writer);
            }
            writer.commit();
        } catch (IOException | RuntimeException e) {
            if (writer.isKnown()) {
                // It may be there after a crash or not: nothing may build on it, and nothing may have its number.
                number++;
                base = null;
            }
            throw e;
        }
        number++;
        base = new CheckpointWriter.Base(number, id);
        owner.holds(id);
        increments = full ? 0 : increments + 1;
        incrementBytes = full ? 0 : incrementBytes + writer.bytes();
        if (full) {
            fullBytes = writer.bytes();
            deleteOlder();
        }
    }

    private void addChanged(LiveSnapshot snapshot, CheckpointWriter writer) throws IOException {
        releaseUnchanged(snapshot);
        try {
            snapshot.changed((offset, length) -> {
                try {
                    add(snapshot, offset, length, writer);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /** Writers need not save what is not going to be read. */
    private void releaseUnchanged(LiveSnapshot snapshot) {
        long[] end = {0};
        snapshot.changed((offset, length) -> {
            if (offset > end[0]) {
                snapshot.release(end[0], offset - end[0]);
            }
            end[0] = offset + length;
        });
        if (end[0] < regionSize) {
            snapshot.release(end[0], regionSize - end[0]);
        }
    }

    private void add(LiveSnapshot snapshot, long offset, long length, CheckpointWriter writer) throws IOException {
        for (long at = offset; at < offset + length; at += piece.limit()) {
            snapshot.read("save", at, piece.clear().limit((int) Math.min(piece.capacity(), offset + length - at)));
            for (int from = 0; from < piece.limit(); from += longestRun) {
                writer.add(at + from, piece.slice(from, Math.min(longestRun, piece.limit() - from)));
            }
            snapshot.release(at, piece.limit());
        }
    }

    private void deleteOlder() {
        try {
            directory.deleteBelow(number);
        } catch (IOException e) {
            System.getLogger("io.github.userfaultfd").log(Level.WARNING,
                    "older checkpoints cannot be deleted, and will be tried again: " + this, e);
        }
    }

    /**
     * Makes a range ready for a system call that writes to it, see {@link Snapshotter#prepareWrite}.
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @return closed when the system call is over
     * @throws UffdException if the kernel refuses
     * @throws IOException if a page of a paged region cannot be had
     */
    public WriteWindow prepareWrite(long offset, long length) throws IOException {
        return snapshotter.prepareWrite(offset, length);
    }

    /**
     * Fills a region with a directory's newest checkpoint. Everything is checked on the way. What is zero in the full file, and in
     * no increment, takes no memory afterwards.
     *
     * @param directory where the checkpoints are
     * @param region of the size and the page size of the one that was saved; its content is replaced
     * @return the checkpoint's number
     * @throws NoSuchFileException if the directory has no checkpoint, or a file of the newest one is missing
     * @throws UffdException EBADMSG: a file is damaged; the message names it and the offset. The region is as before then, or all zeros if
     *     it is a page that is damaged; it never has a part of the checkpoint. If the file is the newest one and an increment, deleting
     *     that makes the checkpoint before it the newest
     * @throws IllegalArgumentException if the region has another size or page size
     * @throws IllegalStateException if a pager brings the region's pages or reads from it, or the region was given up
     */
    public static long restore(Path directory, MemoryRegion region) throws IOException {
        try (CheckpointChain chain = CheckpointChain.open(directory)) {
            chain.checkFits(region.size(), region.pageSize());
            RegionOwner owner = RegionOwner.of(region, region.address());
            RegionOwner.Service service = owner.startedService();
            if (service != null && service.bringsPages()) {
                throw new IllegalStateException("the pages of " + region + " are brought by " + service + "; close that first");
            }
            owner.refuseIfGone();
            owner.refuseIfRead();
            owner.holds(0);
            empty(region);
            boolean filled = false;
            try {
                read(chain, region);
                filled = true;
            } finally {
                if (!filled) {
                    empty(region);
                }
            }
            owner.holds(chain.newest().id());
            return chain.newest().number();
        }
    }

    /**
     * Reads all of a directory's newest checkpoint and throws what is wrong with it; for whoever wants to know before restoring lazily.
     *
     * @param directory where the checkpoints are
     * @return what was read
     * @throws NoSuchFileException if the directory has no checkpoint, or a file of the newest one is missing
     * @throws UffdException EBADMSG: a file is damaged; the message names it and the offset
     */
    public static CheckpointInfo verify(Path directory) throws IOException {
        try (CheckpointChain chain = CheckpointChain.open(directory)) {
            read(chain, null);
            return CheckpointInfo.of(chain);
        }
    }

    /**
     * Tells what a directory's newest checkpoint is, without reading its pages.
     *
     * @param directory where the checkpoints are
     * @return its number, sizes and time
     * @throws NoSuchFileException if the directory has no checkpoint, or a file of the newest one is missing
     * @throws UffdException EBADMSG: an index is damaged; the message names the file and the offset
     */
    public static CheckpointInfo info(Path directory) throws IOException {
        try (CheckpointChain chain = CheckpointChain.open(directory)) {
            return CheckpointInfo.of(chain);
        }
    }

    /** File after file, so that each is read from front to end; later pages replace those before. The region is all zeros before. */
    private static void read(CheckpointChain chain, @Nullable MemoryRegion region) throws IOException {
        int longest = CheckpointWriter.longestRun(chain.newest().pageSize());
        ByteBuffer pages = ByteBuffer.allocateDirect(longest);
        for (CheckpointFile file : chain.files()) {
            CheckpointIndex index = file.index();
            for (int run = 0; run < index.runs(); run++) {
                if (file.isFull() && index.stored(run) == 0) {
                    continue;
                }
                file.read(index, run, pages);
                if (region != null) {
                    region.asByteBuffer(index.offset(run), index.length(run)).put(pages);
                }
            }
        }
    }

    private static void empty(MemoryRegion region) {
        try {
            if (RegionOwner.of(region, region.address()).memoryFd() >= 0) {
                region.punchHole(0, region.size());
            } else {
                region.discard(0, region.size());
            }
        } catch (UffdException e) {
            // Kernels before 5.18 take no huge pages away, and none takes pages that are locked (EINVAL).
            ByteBuffer zeros = ByteBuffer.allocateDirect(Math.toIntExact(region.pageSize()));
            for (long at = 0; at < region.size(); at += region.pageSize()) {
                region.asByteBuffer(at, zeros.capacity()).put(zeros.clear());
            }
        }
    }

    /** Ends the series; the checkpoints stay. A second close does nothing. */
    @Override
    public synchronized void close() throws IOException {
        if (!closed) {
            closed = true;
            try {
                snapshotter.close();
            } finally {
                directory.close();
            }
        }
    }

    @Override
    public String toString() {
        return "Checkpoint[" + (snapshotter == null ? "" : snapshotter.text() + ", ") + directory.path()
                + (closed ? ", closed" : "") + "]";
    }
}
