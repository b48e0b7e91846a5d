// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.checkpoint.CheckpointChain;
import io.github.userfaultfd.checkpoint.CheckpointFile;
import java.time.Instant;

/**
 * What is known of a checkpoint without reading its pages.
 *
 * @param number counts the checkpoints of a directory, from 1
 * @param created when its snapshot began
 * @param regionSize in bytes: the region that it is restored to has to have this size
 * @param pageSize in bytes: likewise
 * @param increments how many files of changed pages follow the full one
 * @param bytes how much all its files hold
 * @param compressed whether a file of it is compressed, so that it cannot be restored lazily
 */
public record CheckpointInfo(long number, Instant created, long regionSize, long pageSize, int increments, long bytes,
        boolean compressed) {
    static CheckpointInfo of(CheckpointChain chain) {
        CheckpointFile newest = chain.newest();
        return new CheckpointInfo(newest.number(), Instant.ofEpochMilli(newest.created()), newest.regionSize(), newest.pageSize(),
                chain.files().size() - 1, chain.files().stream().mapToLong(CheckpointFile::bytes).sum(),
                chain.files().stream().anyMatch(CheckpointFile::isCompressed));
    }
}
