// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.RegionOwner;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The options of a snapshotter; {@link Snapshotter#of} makes it. For one thread. */
public final class SnapshotterBuilder {
    final RegionOwner owner;
    long memoryLimit = Long.MAX_VALUE;
    @Nullable Path spillDirectory;
    long openAhead;
    boolean startUnchanged;
    boolean leaveOutUnpopulated;

    SnapshotterBuilder(RegionOwner owner) {
        this.owner = owner;
    }

    /**
     * How much memory the saved pages of a running snapshot may take. No limit unless set. Beyond it they go to the file of
     * {@link #spillTo}, or, without one, the snapshot is lost: its methods throw from then on. A writer never waits in either case.
     *
     * @param bytes rounded down to whole pages; 0 with {@link #spillTo}: all of them go to the file
     * @return this builder
     */
    public SnapshotterBuilder memoryLimit(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("memoryLimit: " + bytes + " bytes is negative");
        }
        memoryLimit = bytes;
        return this;
    }

    /**
     * Where saved pages beyond {@link #memoryLimit} go: to a file that has no name, made at start and gone at close. A write to it
     * that fails (the disk is full) makes the snapshot lost. Writing threads write it, so it belongs on a fast disk.
     *
     * @param directory where the file is made
     * @return this builder
     */
    public SnapshotterBuilder spillTo(Path directory) {
        spillDirectory = Objects.requireNonNull(directory, "directory");
        return this;
    }

    /**
     * How many bytes at most are saved and opened for one write when the writes go on where the last one ended: a sequential writer
     * is stopped less often. <b>Pages opened ahead count as changed</b> whether they are written or not. 0 unless set: changes are
     * exact.
     *
     * @param bytes rounded down to whole pages
     * @return this builder
     */
    public SnapshotterBuilder openAhead(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("openAhead: " + bytes + " bytes is negative");
        }
        openAhead = bytes;
        return this;
    }

    /**
     * Whether the first snapshot's {@link LiveSnapshot#changed} gives what is written from the start on, as for memory that was just
     * restored from a copy. False unless set: the first snapshot says that everything changed.
     *
     * @param enabled the new value
     * @return this builder
     */
    public SnapshotterBuilder startUnchanged(boolean enabled) {
        startUnchanged = enabled;
        return this;
    }

    /** For tests: as on kernels before 6.4, which do not protect pages that were never touched. */
    SnapshotterBuilder leaveOutUnpopulated() {
        leaveOutUnpopulated = true;
        return this;
    }

    /**
     * Registers the region; what it holds stays.
     *
     * @return the running snapshotter
     * @throws UnsupportedFeaturesException if the kernel cannot do it (Linux 5.7; 5.19 for shared memory and huge pages)
     * @throws UffdException if the kernel refuses, or other code of this process has taken the SIGBUS handler
     * @throws IOException if the file to spill to cannot be made
     * @throws IllegalStateException if somebody tracks or snapshots the region already, or resolves its faults and is no pager with
     *     engine INLINE, or it is closed
     */
    public Snapshotter start() throws IOException {
        return owner.startProtecting(() -> new Snapshotter(this));
    }
}
