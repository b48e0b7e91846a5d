// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * Threads that do the work of a test. {@link #join} throws what the first of them to fail has thrown: a fault that nobody resolved is
 * an error in the thread that raised it, and would be lost there. None of them keeps a JVM from its end.
 */
public final class Crew implements AutoCloseable {
    private static final int VIRTUAL_THREADS = 21;
    /** Rounds of a virtual thread, until others may have its carrier. */
    private static final int A_TURN = 50;

    private final List<Thread> threads = new ArrayList<>();
    private final List<Loop> loops = new ArrayList<>();
    private final AtomicReference<Throwable> thrown = new AtomicReference<>();
    private volatile boolean over;

    /** What a thread does. */
    @FunctionalInterface
    public interface Work {
        void run() throws Exception;
    }

    private final class Loop implements Work {
        private final Work work;
        private final boolean virtual;
        private volatile boolean wentRound;

        Loop(Work work, boolean virtual) {
            this.work = work;
            this.virtual = virtual;
        }

        @Override
        public void run() throws Exception {
            for (long round = 1; !over; round++) {
                work.run();
                wentRound = true;
                if (virtual && round % A_TURN == 0) {
                    LockSupport.parkNanos(1); // a carrier goes on with one that only yields for ever
                }
            }
        }
    }

    /** One more thread, which does its work once. */
    public void once(Work work) {
        start(work, false);
    }

    /** One more thread, which does its work again and again until {@link #join}. */
    public void repeat(Work work) {
        repeat(work, false);
    }

    /** The same, virtual if that is asked for and the JDK has such threads. */
    public void repeat(Work work, boolean virtual) {
        Loop loop = new Loop(work, virtual);
        loops.add(loop);
        start(loop, virtual);
    }

    private void start(Work work, boolean virtual) {
        Runnable body = () -> {
            try {
                work.run();
            } catch (Throwable e) {
                thrown.compareAndSet(null, e);
            }
        };
        if (virtual && Runtime.version().feature() >= VIRTUAL_THREADS) {
            threads.add(startVirtual(body));
            return;
        }
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        thread.start();
        threads.add(thread);
    }

    private static Thread startVirtual(Runnable body) {
        try {
            return (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, body);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    /** Whether a thread has thrown: whoever waits for what the threads do need not wait any longer. */
    public boolean hasFailed() {
        return thrown.get() != null;
    }

    /** Waits until each thread that repeats its work has done it once at least, or one has thrown. */
    public void awaitRound() {
        try {
            while (!hasFailed() && !loops.stream().allMatch(each -> each.wentRound)) {
                Thread.sleep(1);
            }
        } catch (InterruptedException e) {
            throw new AssertionError("a thread has not done its work once", e);
        }
    }

    /** Ends what is repeated, each after a round at least, and waits for all. */
    public void join() {
        try {
            awaitRound();
        } finally {
            over = true;
        }
        try {
            for (Thread each : threads) {
                each.join();
            }
        } catch (InterruptedException e) {
            throw new AssertionError("a thread does not end", e);
        }
        if (hasFailed()) {
            throw new AssertionError("a thread has failed", thrown.get());
        }
    }

    @Override
    public void close() {
        join();
    }
}
