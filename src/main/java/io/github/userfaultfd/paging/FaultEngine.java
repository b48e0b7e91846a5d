// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/** Who resolves the faults of a paged region. Never Java code: see the safepoint rule in {@link io.github.userfaultfd.Uffd}. */
public enum FaultEngine {
    /**
     * {@link #INLINE} where the kernel has it, the process's SIGBUS handler is this library's, and only faults of user mode are
     * wanted; {@link #THREAD} otherwise.
     */
    AUTO,

    /**
     * The faulting thread itself, in a SIGBUS handler ({@code UFFD_FEATURE_SIGBUS}, Linux 4.14): no switch between threads. It
     * serves faults of user mode only. A thread of native code that blocks SIGBUS is killed by the kernel when it faults.
     */
    INLINE,

    /**
     * Threads of C, which never attach to the JVM: no safepoint and no exit of the JVM waits for them. A fault costs two
     * switches between threads.
     */
    THREAD
}
