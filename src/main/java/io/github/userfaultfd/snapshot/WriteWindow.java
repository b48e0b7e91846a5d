// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

/** A range of a region that system calls may write to as long as this is open; {@link Snapshotter#prepareWrite} makes it. */
public interface WriteWindow extends AutoCloseable {
    /** Ends it: the next snapshot may begin, and protects the range again. A second close does nothing. */
    @Override
    void close();
}
