// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.UseCount;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.Objects;

/**
 * The image of a region at one instant, while its writers go on. The first write to a page saves the old page, on the writing
 * thread and in C, and opens the page; see {@link Snapshotter} for what that asks of the region, and for many snapshots.
 *
 * <pre>{@code
 * try (LiveSnapshot snapshot = LiveSnapshot.begin(region)) {
 *     snapshot.writeTo(channel);
 * }
 * }</pre>
 *
 * <p>Methods can be called from any threads at once; on a closed snapshot they throw {@link IllegalStateException}.
 */
public final class LiveSnapshot implements AutoCloseable {
    private static final int PIECE = 256 * 1024;
    private static final int RANGES = 256;

    private final Snapshotter snapshotter;
    private final long handle;
    private final long size;
    private final long pageSize;
    private final Runnable atEnd;
    private final UseCount uses = new UseCount();

    LiveSnapshot(Snapshotter snapshotter, long handle, Runnable atEnd) {
        this.snapshotter = snapshotter;
        this.handle = handle;
        this.atEnd = atEnd;
        size = snapshotter.owner().length();
        pageSize = snapshotter.owner().pageSize();
    }

    /**
     * Takes one snapshot of a region, by a {@link Snapshotter} that ends with it.
     *
     * @param region what to take a snapshot of
     * @return the snapshot
     * @throws UnsupportedFeaturesException if the kernel cannot do it (Linux 5.7; 5.19 for shared memory and huge pages)
     * @throws UffdException if the kernel refuses
     * @throws IOException never otherwise
     * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
     */
    public static LiveSnapshot begin(MemoryRegion region) throws IOException {
        Snapshotter snapshotter = Snapshotter.of(region).start();
        LiveSnapshot begun = null;
        try {
            begun = snapshotter.begin(snapshotter::close);
            return begun;
        } finally {
            if (begun == null) {
                snapshotter.close();
            }
        }
    }

    /** {@return the size of the image in bytes: that of the region} */
    public long size() {
        return size;
    }

    /** {@return the size of the region's pages in bytes; what {@link #changed} gives is a multiple of it} */
    public long pageSize() {
        return pageSize;
    }

    /**
     * Gives the ranges that were written between the begin of the snapshot before this one and the begin of this one: with them,
     * the image before becomes this one. The first snapshot of a {@link Snapshotter} gives everything, unless
     * {@link SnapshotterBuilder#startUnchanged}. Reported without having been written: pages that were discarded, prepared for
     * a system call, or opened ahead. Can be called again.
     *
     * @param consumer called for each range, on this thread
     */
    public void changed(RangeConsumer consumer) {
        Objects.requireNonNull(consumer, "consumer");
        Scratch ranges = new Scratch(RANGES * Abi.RANGE_LONGS);
        long[] next = {0};
        int count;
        do {
            enter();
            try {
                count = (int) ranges.pass(address -> Native.snapshotChanged(handle, next[0], address, RANGES));
            } finally {
                uses.release();
            }
            for (int i = 0; i < count; i++) {
                long offset = ranges.get(i * Abi.RANGE_LONGS + Abi.RANGE_OFFSET);
                long length = ranges.get(i * Abi.RANGE_LONGS + Abi.RANGE_LENGTH);
                next[0] = offset + length;
                consumer.accept(offset, length);
            }
        } while (count == RANGES);
    }

    /** {@return how many bytes {@link #changed} gives} */
    public long changedBytes() {
        long[] sum = new long[1];
        changed((offset, length) -> sum[0] += length);
        return sum[0];
    }

    /**
     * Makes the next snapshot report the changes of this one again, together with its own: for whoever could not keep this image
     * after all.
     */
    public void keepChanged() {
        enter();
        try {
            Native.snapshotKeep(handle);
        } finally {
            uses.release();
        }
    }

    /**
     * Reads a part of the image, as {@code FileChannel.read(ByteBuffer, long)} does of a file: as many bytes as the buffer has room
     * for, up to the image's end.
     *
     * @param offset where the part begins, in bytes from the start
     * @param buffer takes the bytes; its position advances. It may be over the region itself
     * @return how many bytes were read; -1 if the offset is at the end or beyond it and the buffer has room
     * @throws UffdException ENOSPC: the snapshot is lost, because the saved pages outgrew
     *     {@link SnapshotterBuilder#memoryLimit} or the disk; ENODATA: a page was {@link #release released}
     */
    public int read(long offset, ByteBuffer buffer) throws IOException {
        if (offset < 0) {
            throw new IllegalArgumentException("read: the offset " + offset + " is negative");
        }
        if (buffer.remaining() > 0 && offset >= size) {
            return -1;
        }
        int length = (int) Math.min(buffer.remaining(), Math.max(0, size - offset));
        ByteBuffer piece = ByteBuffer.allocateDirect(Math.min(length, PIECE));
        for (int done = 0; done < length; done += piece.limit()) {
            read("read", offset + done, piece.clear().limit(Math.min(PIECE, length - done)));
            buffer.put(piece);
        }
        return length;
    }

    /** Fills a piece, which nothing protects, from its start to its limit. */
    void read(String operation, long offset, ByteBuffer piece) throws IOException {
        enter();
        try {
            int failed = Scratch.passBuffer(piece, address -> Native.snapshotRead(handle, offset, piece.limit(), address));
            if (failed < 0) {
                throw lost(operation, -failed, offset, piece.limit());
            }
        } finally {
            uses.release();
        }
    }

    private UffdException lost(String operation, int errno, long offset, long length) {
        String detail = "of a snapshot at offset " + offset + ", " + length + " bytes";
        switch (errno) {
            case Abi.ENODATA:
                return new UffdException(operation, errno, detail, "a page of it was released");
            case Abi.ENOSPC:
                return new UffdException(operation, errno, detail,
                        "the snapshot is lost: its saved pages outgrew the memory limit, or the disk that they are spilled to");
            default:
                return new UffdException(operation, errno, detail);
        }
    }

    /**
     * Writes the whole image to a channel, in order. The image stays and can be read again.
     *
     * @param channel a blocking one
     * @return how many bytes: the size of the image
     * @throws UffdException ENOSPC: the snapshot is lost; ENODATA: a page was {@link #release released}
     * @throws IOException if the channel fails
     */
    public long writeTo(WritableByteChannel channel) throws IOException {
        return write("writeTo", channel, false);
    }

    /**
     * Like {@link #writeTo}, and {@link #release releases} each part once it is written: less memory, and less work for the
     * writers. The image is gone afterwards.
     *
     * @param channel a blocking one
     * @return how many bytes: the size of the image
     * @throws UffdException ENOSPC: the snapshot is lost; ENODATA: a page was released
     * @throws IOException if the channel fails
     */
    public long drainTo(WritableByteChannel channel) throws IOException {
        return write("drainTo", channel, true);
    }

    private long write(String operation, WritableByteChannel channel, boolean release) throws IOException {
        Objects.requireNonNull(channel, "channel");
        ByteBuffer piece = ByteBuffer.allocateDirect((int) Math.min(PIECE, size));
        long released = 0;
        for (long offset = 0; offset < size; offset += piece.limit()) {
            read(operation, offset, piece.clear().limit((int) Math.min(PIECE, size - offset)));
            while (piece.hasRemaining()) {
                channel.write(piece);
            }
            long whole = (offset + piece.limit()) / pageSize * pageSize;
            if (release && whole > released) {
                release(released, whole - released);
                released = whole;
            }
        }
        return size;
    }

    /**
     * Gives up a part of the image that is not needed any more: its pages are not saved from now on, and what was saved of them is
     * freed.
     *
     * @param offset a multiple of the page size
     * @param length a multiple of the page size
     */
    public void release(long offset, long length) {
        Ranges.checkPages("release", "offset", offset, length, pageSize);
        Ranges.checkInside("release", offset, length, size);
        enter();
        try {
            Native.snapshotRelease(handle, offset, length);
        } finally {
            uses.release();
        }
    }

    /** {@return how many bytes of memory the saved pages take now, without those that were spilled} */
    public long savedBytes() {
        return stat(Abi.SAVED_MEMORY);
    }

    /** {@return how many bytes of saved pages were spilled to the file} */
    public long spilledBytes() {
        return stat(Abi.SAVED_SPILLED);
    }

    private long stat(int index) {
        Scratch stats = new Scratch(Abi.SAVED_LONGS);
        enter();
        try {
            stats.pass(address -> Native.snapshotStats(handle, address));
        } finally {
            uses.release();
        }
        return stats.get(index);
    }

    private void enter() {
        if (!uses.acquire()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /** Ends the snapshot, whether it was read or not: nothing is saved any more. A second close does nothing. */
    @Override
    public void close() {
        boolean first = uses.close();
        synchronized (this) { // a second one returns when the first is done
            if (first) {
                uses.awaitIdle(() -> { });
                Native.snapshotEnd(handle);
                snapshotter.ended(this);
            }
        }
        if (first) {
            atEnd.run();
        }
    }

    @Override
    public String toString() {
        return "LiveSnapshot[" + snapshotter.text() + (uses.isClosed() ? ", closed" : "") + "]";
    }
}
