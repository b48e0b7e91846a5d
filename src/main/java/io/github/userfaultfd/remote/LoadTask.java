// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** A run of pages to be loaded by one call of the loader. Its pages are marked busy until it is done. */
final class LoadTask {
    final PageStates states;
    final int firstPage;
    final int pages;

    /** The prefetch it belongs to; null if somebody waits for it. */
    final @Nullable Prefetch prefetch;

    /** Who is told of its end: its own prefetch, and those that met its pages. Guarded by the monitor of {@link LoadQueue}. */
    final List<Prefetch> awaiting = new ArrayList<>(1);

    private final AtomicBoolean settled = new AtomicBoolean();
    private volatile @Nullable Thread thread;
    private volatile long startedAt;

    LoadTask(PageStates states, int firstPage, int pages, @Nullable Prefetch prefetch) {
        this.states = states;
        this.firstPage = firstPage;
        this.pages = pages;
        this.prefetch = prefetch;
    }

    boolean has(PageStates of, int page) {
        return states == of && page >= firstPage && page < firstPage + pages;
    }

    void starts() {
        startedAt = System.nanoTime();
        thread = Thread.currentThread();
    }

    long runningNanos() {
        return thread == null ? 0 : System.nanoTime() - startedAt;
    }

    /** {@return whether the caller is the one who decides what these pages become: the loader, or who found it too slow} */
    boolean settle() {
        return settled.compareAndSet(false, true);
    }

    void interrupt() {
        Thread running = thread;
        if (running != null) {
            running.interrupt();
        }
    }

    long address() {
        return states.address(firstPage);
    }

    long offset() {
        return states.offset(firstPage);
    }

    long length() {
        return pages * states.mapping.pageSize();
    }
}
