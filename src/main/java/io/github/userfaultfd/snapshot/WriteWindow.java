// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

/**
 * A range of a region that system calls may write to as long as this is open; {@link Snapshotter#prepareWrite},
 * {@link Checkpoint#prepareWrite} and {@link DirtyTracker#prepareWrite} make it.
 */
public interface WriteWindow extends AutoCloseable {
    /** Ends it: the next snapshot or collect may begin, and has the range as written. A second close does nothing. */
    @Override
    void close();
}
