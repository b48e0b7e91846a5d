// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Net;
import io.github.userfaultfd.internal.UseCount;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.ref.Cleaner;
import java.net.SocketTimeoutException;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;

/**
 * An open socket: calls that wait, with a time limit, ended by a close or an interrupt; closed once, never while it is used.
 */
final class SocketDescriptor {
    /** An interrupt is looked for that often; a close is noticed at once. */
    private static final long SLICE_NANOS = 50_000_000;
    private static final long FOR_EVER = Long.MAX_VALUE;

    private final Open open;
    private final String name;
    private final Cleaner.Cleanable net;
    private volatile long timeoutNanos = FOR_EVER;

    /** What the net needs. */
    private record Open(int fd, String name, UseCount uses) implements Runnable {
        @Override
        public void run() {
            if (uses.close()) {
                Net.warnLeaked(name);
                uses.awaitIdle(() -> { });
                Native.close(fd);
            }
        }
    }

    /** A call that does not wait: a value &gt;= 0 or -errno. */
    @FunctionalInterface
    interface Call {
        long run(int fd);
    }

    SocketDescriptor(int fd, String name) {
        this.name = name;
        open = new Open(fd, name, new UseCount());
        net = Net.watch(this, open);
    }

    static long nanos(Duration timeout) {
        if (timeout.isNegative() || timeout.isZero()) {
            throw new IllegalArgumentException("a timeout is more than nothing, not " + timeout);
        }
        return timeout.getSeconds() >= FOR_EVER / 1_000_000_000L ? FOR_EVER : timeout.toNanos();
    }

    void timeout(Duration timeout) {
        timeoutNanos = nanos(timeout);
    }

    String name() {
        return name;
    }

    /**
     * Makes a call again and again until it does not say EAGAIN.
     *
     * @param output whether it waits for room to send
     */
    long await(String operation, boolean output, Call call) throws IOException {
        long start = System.nanoTime();
        for (boolean first = true;; first = false) {
            if (!open.uses.acquire()) {
                throw first ? new ClosedChannelException() : new AsynchronousCloseException();
            }
            try {
                long result = call.run(open.fd);
                if (result != -Abi.EAGAIN && result != -Abi.EINTR) {
                    return checked(operation, result);
                }
                long left = timeoutNanos == FOR_EVER ? FOR_EVER : timeoutNanos - (System.nanoTime() - start);
                if (left <= 0) {
                    throw new SocketTimeoutException(operation + " of " + name + ": nothing happened for "
                            + Duration.ofNanos(timeoutNanos));
                }
                if (Thread.interrupted()) {
                    throw new InterruptedIOException(operation + " of " + name + ": interrupted");
                }
                int ready = Native.pollSocket(open.fd, output, Math.min(left, SLICE_NANOS));
                if (ready != -Abi.EINTR) {
                    checked(operation, ready);
                }
            } finally {
                open.uses.release();
            }
            // Virtual threads: the others on this carrier, one of which may be the one to send.
            Thread.yield();
        }
    }

    /** A call that never waits. */
    long now(String operation, Call call) throws IOException {
        if (!open.uses.acquire()) {
            throw new ClosedChannelException();
        }
        try {
            return checked(operation, call.run(open.fd));
        } finally {
            open.uses.release();
        }
    }

    private long checked(String operation, long result) throws UffdException {
        if (result < 0) {
            throw new UffdException(operation, (int) -result, "of " + name);
        }
        return result;
    }

    boolean isOpen() {
        return !open.uses.isClosed();
    }

    /** {@return whether this call closed it} */
    boolean close() {
        if (!open.uses.close()) {
            return false;
        }
        open.uses.awaitIdle(() -> Native.interrupt(open.fd));
        net.clean();
        Native.close(open.fd);
        return true;
    }
}
