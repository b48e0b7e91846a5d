// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Keeps a descriptor or a native handle alive while calls use it, so that none of them ever meets one that was closed and
 * given to somebody else. The lowest bit says closed; the rest counts the calls under way.
 */
public final class UseCount {
    private static final int CLOSED = 1;
    private static final int ONE = 2;
    private static final long NUDGE_NANOS = 200_000;

    private final AtomicInteger state = new AtomicInteger();

    /** Makes a count of 0 that is open. */
    public UseCount() {}

    /** {@return true if the caller may use the thing and has to call {@link #release}; false if it is closed} */
    public boolean acquire() {
        if ((state.getAndAdd(ONE) & CLOSED) == 0) {
            return true;
        }
        state.getAndAdd(-ONE);
        return false;
    }

    /** Ends what {@link #acquire} began. */
    public void release() {
        state.getAndAdd(-ONE);
    }

    /** {@return whether it was closed} */
    public boolean isClosed() {
        return (state.get() & CLOSED) != 0;
    }

    /** {@return true for the one caller that closes it, false if it was closed before} */
    public boolean close() {
        return (state.getAndUpdate(now -> now | CLOSED) & CLOSED) == 0;
    }

    /** Opens it again after a close that could not be carried out. */
    public void reopen() {
        state.getAndUpdate(now -> now & ~CLOSED);
    }

    /**
     * Returns when no call is under way any more; uninterruptible.
     *
     * @param nudge run again and again until then, to end calls that block
     */
    public void awaitIdle(Runnable nudge) {
        while ((state.get() & ~CLOSED) != 0) {
            nudge.run();
            LockSupport.parkNanos(NUDGE_NANOS);
        }
    }
}
