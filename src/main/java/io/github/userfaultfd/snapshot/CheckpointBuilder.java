// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.UffdException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;

/** The options of a series of checkpoints; {@link Checkpoint#of} makes it. For one thread. */
public final class CheckpointBuilder {
    final SnapshotterBuilder snapshots;
    final Path directory;
    Compression compression = Compression.NONE;
    int increments = 15;

    CheckpointBuilder(SnapshotterBuilder snapshots, Path directory) {
        this.snapshots = snapshots;
        this.directory = Objects.requireNonNull(directory, "directory");
    }

    /**
     * How pages are packed. {@link Compression#NONE} unless set.
     *
     * @param by the way
     * @return this builder
     */
    public CheckpointBuilder compression(Compression by) {
        compression = Objects.requireNonNull(by, "compression");
        return this;
    }

    /**
     * How many increments follow a full checkpoint at most; the next one is full, and the files before it are deleted once it is
     * durable. It comes earlier when the increments together are larger than the full one. 15 unless set.
     *
     * @param most 0: all are full
     * @return this builder
     */
    public CheckpointBuilder increments(int most) {
        if (most < 0) {
            throw new IllegalArgumentException("increments: " + most + " is negative");
        }
        increments = most;
        return this;
    }

    /**
     * Takes the directory's lock and starts to follow what is written to the region. Nothing is saved yet.
     *
     * @return the open series
     * @throws UffdException if the kernel refuses, or a checkpoint in the directory is damaged
     * @throws IOException if there is no such directory, or it cannot be written to
     * @throws IllegalStateException if another series writes to the directory, in this process or another; if somebody resolves the
     *     region's faults already, or it is closed; if the library that compresses is missing
     * @throws IllegalArgumentException if the directory has checkpoints of a region of another size or page size, or the region
     *     has more than 33554432 runs: 2 TiB of pages of up to 64 KiB; or pages of more than 1 GiB
     */
    public Checkpoint open() throws IOException {
        return new Checkpoint(this);
    }
}
