// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that begin a piece of work at the same moment, again and again; they spin, because waking up costs more than a fault. */
final class Gang implements AutoCloseable {
    /** The work of one member. */
    @FunctionalInterface
    interface Work {
        void run(int member) throws IOException;
    }

    private final Work work;
    private final int size;
    private final AtomicInteger turn = new AtomicInteger();
    private final AtomicInteger done = new AtomicInteger();
    private volatile boolean closed;

    Gang(int size, Work work) {
        this.size = size;
        this.work = work;
        for (int i = 1; i < size; i++) {
            int member = i;
            Thread thread = new Thread(() -> follow(member), "member " + i);
            thread.setDaemon(true);
            thread.start();
        }
    }

    private void follow(int member) {
        for (int last = 0;; last++) {
            while (turn.get() == last) {
                if (closed) {
                    return;
                }
                Thread.onSpinWait();
            }
            try {
                work.run(member);
            } catch (IOException e) {
                e.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
            done.incrementAndGet();
        }
    }

    /** Returns when all have done it once; the caller is member 0. */
    void run() throws IOException {
        done.set(0);
        turn.incrementAndGet();
        work.run(0);
        while (done.get() != size - 1) {
            Thread.onSpinWait();
        }
    }

    @Override
    public void close() {
        closed = true;
    }
}
