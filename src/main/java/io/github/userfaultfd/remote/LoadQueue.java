// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What has to be loaded for one process, faults before prefetches, and who is at it. Its monitor guards the states of the
 * pages. Threads are made when there is work for them, up to a limit; one that is stuck in a loader does not count.
 */
final class LoadQueue {
    /** Makes a thread that takes from this queue until {@link #take} returns null. */
    interface Threads {
        void start() throws IOException;
    }

    private final int most;
    private final Threads threads;
    private final Deque<LoadTask> faults = new ArrayDeque<>();
    private final Deque<Prefetch> prefetches = new ArrayDeque<>();
    private final Set<LoadTask> running = new HashSet<>();
    private int started;
    private int idle;
    private int prefetching;
    private volatile @Nullable Throwable closed;

    LoadQueue(int most, Threads threads) {
        this.most = most;
        this.threads = threads;
    }

    /** Adds pages that somebody waits for; the caller has marked them busy. */
    synchronized void add(LoadTask task) throws IOException {
        faults.add(task);
        wakeOne();
    }

    /** Adds pages to be loaded ahead; fails them when the queue is closed, or there is no thread to load them. */
    void add(Prefetch prefetch) {
        synchronized (this) {
            prefetch.failure = closed;
            if (closed == null) {
                prefetches.add(prefetch);
                try {
                    for (int i = 0; i < most; i++) {
                        wakeOne();
                    }
                    return;
                } catch (IOException e) {
                    prefetches.remove(prefetch);
                    prefetch.failure = e;
                }
            }
        }
        prefetch.complete();
    }

    /** Without a new thread those that are there go on; it throws only if there is none. */
    private void wakeOne() throws IOException {
        if (idle > 0) {
            notify();
        }
        if (idle < faults.size() + prefetches.size() && started < most && closed == null) {
            started++;
            try {
                threads.start();
            } catch (IOException e) {
                started--;
                if (started == 0) {
                    throw e;
                }
                ServedProcess.LOG.log(Level.DEBUG, "the loaders that there are go on", e);
            }
        }
    }

    /**
     * Waits for work.
     *
     * @param runBytes how much a prefetch may load at once
     * @return null when the queue is closed
     */
    synchronized @Nullable LoadTask take(long runBytes) {
        for (;;) {
            if (closed != null) {
                return null;
            }
            LoadTask task = faults.poll();
            if (task == null) {
                task = nextOfPrefetch(runBytes);
            }
            if (task != null) {
                running.add(task);
                return task;
            }
            idle++;
            try {
                wait();
            } catch (InterruptedException e) {
                // Meant for a load that was just over when it came.
                continue;
            } finally {
                idle--;
            }
        }
    }

    /** One thread is kept for faults, if there are several. */
    private @Nullable LoadTask nextOfPrefetch(long runBytes) {
        if (prefetching >= Math.max(1, most - 1)) {
            return null;
        }
        while (!prefetches.isEmpty()) {
            LoadTask task = prefetches.peek().next(runBytes, this);
            if (task != null) {
                prefetching++;
                return task;
            }
            Prefetch over = prefetches.poll();
            if (over.isDone()) {
                over.complete();
            }
        }
        return null;
    }

    /** {@return the task that a busy page belongs to} The caller has the monitor. */
    LoadTask loading(PageStates states, int page) {
        return Stream.concat(running.stream(), faults.stream()).filter(each -> each.has(states, page)).findAny().orElseThrow();
    }

    /** {@return whether no page is being loaded or put in place, and none is asked for} */
    synchronized boolean isIdle() {
        return running.isEmpty() && faults.isEmpty();
    }

    /**
     * Ends a task that its thread, or whoever found it too slow, has settled.
     *
     * @param placed whether its pages are in place
     * @return whether somebody asked for one of them meanwhile, and has to be woken
     */
    boolean done(LoadTask task, boolean placed, @Nullable Throwable failure) {
        List<Prefetch> over = new ArrayList<>(0);
        boolean again;
        synchronized (this) {
            int end = task.firstPage + task.pages;
            PageStates states = task.states;
            states.busy.clear(task.firstPage, end);
            states.placed.set(task.firstPage, end, placed);
            int next = states.again.nextSetBit(task.firstPage);
            again = next >= 0 && next < end;
            states.again.clear(task.firstPage, end);
            running.remove(task);
            for (Prefetch each : task.awaiting) {
                each.underWay--;
                each.failure = failure == null ? each.failure : failure;
                if (each.isDone() && !prefetches.contains(each)) {
                    over.add(each);
                }
            }
            if (task.prefetch != null) {
                prefetching--;
                notify();
            }
        }
        over.forEach(Prefetch::complete);
        return again;
    }

    /** The thread of a task is stuck: another one may be made in its place. */
    synchronized void abandoned() throws IOException {
        started--;
        wakeOne();
    }

    synchronized List<LoadTask> running() {
        return new ArrayList<>(running);
    }

    /** Ends the threads; prefetches that were not finished fail. */
    void close(Throwable why) {
        List<Prefetch> failed;
        synchronized (this) {
            closed = why;
            failed = new ArrayList<>(prefetches);
            running.forEach(each -> failed.addAll(each.awaiting));
            faults.forEach(each -> failed.addAll(each.awaiting));
            faults.clear();
            prefetches.clear();
            running.forEach(LoadTask::interrupt);
            notifyAll();
        }
        failed.forEach(each -> {
            each.failure = why;
            each.complete();
        });
    }
}
