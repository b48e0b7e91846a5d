// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/** Who resolves the faults of a paged region. Never Java code: see the safepoint rule in {@link io.github.userfaultfd.Uffd}. */
public enum FaultEngine {
    /** The best that the kernel has. */
    AUTO,

    /**
     * A thread of C, which never attaches to the JVM: no safepoint and no exit of the JVM waits for it. A fault costs two
     * switches between threads.
     */
    THREAD
}
