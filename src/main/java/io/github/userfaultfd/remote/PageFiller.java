// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.BitSet;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Puts pages in place in the other process, or gives it what the policy says. Any thread that has settled the task. */
final class PageFiller {
    private static final long FIRST_PAUSE_NANOS = 20_000;
    private static final long LAST_PAUSE_NANOS = 5_000_000;

    private final ServedProcess process;
    private final PageTable table;
    private final Uffd uffd;
    private ByteBuffer zeros = ByteBuffer.allocateDirect(0);

    PageFiller(ServedProcess process) {
        this.process = process;
        table = process.table;
        uffd = process.uffd;
    }

    /** One ioctl on a part of a task: bytes done, EXISTS or AGAIN. */
    @FunctionalInterface
    private interface Fill {
        long run(long address, long skipped, long length) throws IOException;
    }

    /** Copies what was loaded to memory at an address. */
    void place(LoadTask task, long source) {
        long done = 0;
        try {
            done = fill(task, 0, (address, skipped, length) -> uffd.tryCopy(address, source + skipped, length));
            if (done == task.length()) {
                finish(task, true, null);
                return;
            }
            fail(task, done, new UffdException("copy", Abi.EAGAIN, "at offset " + (task.offset() + done),
                    "the kernel has refused it for " + Duration.ofNanos(process.options.retryTimeout)));
        } catch (ClosedChannelException e) {
            over(task, e);
        } catch (UffdException e) {
            if (e.errno() == Abi.ESRCH) {
                process.died();
                over(task, e);
            } else if (e.errno() == Abi.EBADF) {
                // Not this page's failure: without the descriptor there is no service at all.
                process.broken(e);
            } else {
                fail(task, done, e);
            }
        } catch (IOException | RuntimeException e) {
            fail(task, done, e);
        }
    }

    private void over(LoadTask task, Throwable why) {
        ServedProcess.LOG.log(Level.DEBUG, "pages of " + process.name() + " came too late", why);
        process.queue.done(task, false, why);
    }

    private void finish(LoadTask task, boolean placed, @Nullable Throwable why) throws IOException {
        if (process.queue.done(task, placed, why)) {
            uffd.wake(task.address(), task.length());
        }
    }

    /** {@return how far it came: less than the task's length if the kernel said EAGAIN for too long} */
    private long fill(LoadTask task, long from, Fill ioctl) throws IOException {
        PageStates states = task.states;
        long page = states.mapping.pageSize();
        long refusedSince = 0;
        long pause = FIRST_PAUSE_NANOS;
        boolean single = false;
        for (long done = from; done < task.length();) {
            long result = 0;
            int index = task.firstPage + (int) (done / page);
            table.lock().readLock().lock();
            try {
                if (!states.removed.get(index)) {
                    int next = states.removed.nextSetBit(index);
                    long length = task.length() - done;
                    if (next >= 0 && (next - index) * page < length) {
                        length = (next - index) * page;
                    }
                    result = attempt(ioctl, task.address() + done, done, single ? page : length);
                }
            } finally {
                table.lock().readLock().unlock();
            }
            if (result == -Abi.ENOENT && !single) {
                // A run that crosses two mappings; the one page will tell.
                single = true;
            } else if (result == Uffd.AGAIN) {
                long now = System.nanoTime();
                refusedSince = refusedSince == 0 ? now : refusedSince;
                if (now - refusedSince > process.options.retryTimeout || process.isOver()) {
                    return done;
                }
                process.counters.retried.increment();
                process.readOn();
                LockSupport.parkNanos(pause);
                pause = Math.min(2 * pause, LAST_PAUSE_NANOS);
            } else if (result > 0) {
                count(task, result / page);
                done += result;
                refusedSince = 0;
            } else {
                // There already, given back, or not mapped any more: whoever waits for it has to look again.
                uffd.wake(task.address() + done, page);
                process.counters.present.add(result == Uffd.EXISTS ? 1 : 0);
                done += page;
                single = false;
            }
        }
        return task.length();
    }

    private static long attempt(Fill ioctl, long address, long skipped, long length) throws IOException {
        try {
            return ioctl.run(address, skipped, length);
        } catch (UffdException e) {
            if (e.errno() == Abi.ENOENT) {
                return -Abi.ENOENT;
            }
            throw e;
        }
    }

    /** For a page that was given back and is registered still, or is new: zeros, as the process expects. On the loop's thread. */
    void zero(long fault, long size) throws IOException {
        long page = fault & -size;
        Fill zeros = size == Ranges.PAGE ? (address, skipped, length) -> uffd.tryZeropage(address, length)
                : (address, skipped, length) -> uffd.tryCopy(address, zeros(size), length);
        if (attempt(zeros, page, 0, size) <= 0) {
            // There already, not registered any more, or an event is in the way: who waits faults again if need be.
            uffd.wake(page, size);
        }
    }

    /** For huge pages, which ZEROPAGE does not know. */
    private long zeros(long size) {
        if (zeros.capacity() < size) {
            zeros = ByteBuffer.allocateDirect((int) size);
        }
        return Native.directAddress(zeros);
    }

    private void count(LoadTask task, long pages) {
        process.counters.pages.add(pages);
        process.counters.prefetched.add(task.prefetch == null ? 0 : pages);
    }

    /** The rest of a task, from {@code done} bytes on, cannot be loaded or put in place. A prefetch leaves it to the fault. */
    void fail(LoadTask task, long done, Throwable cause) {
        if (process.isOver()) {
            over(task, cause);
            return;
        }
        if (task.prefetch != null) {
            ServedProcess.LOG.log(Level.WARNING, process.name() + ": prefetch at offset " + task.offset() + ": " + cause);
            try {
                finish(task, false, cause);
            } catch (IOException e) {
                over(task, e);
            }
            return;
        }
        LoadFailure failure = new LoadFailure(task.offset() + done, task.length() - done, cause);
        process.counters.failed.add(failure.length() / task.states.mapping.pageSize());
        ServedProcess.LOG.log(Level.ERROR, process.name() + ": " + failure + "; policy " + process.options.failurePolicy);
        ServedProcess.LOG.log(Level.DEBUG, "failed load", cause);
        process.failed(failure);
        try {
            apply(task, done);
            finish(task, false, cause);
        } catch (IOException e) {
            over(task, e);
            if (!process.isOver()) {
                // Who waits for these pages was told nothing.
                process.broken(e);
            }
        }
    }

    /** {@return false if it could not be done: who touches the pages waits for ever} */
    private boolean apply(LoadTask task, long done) throws IOException {
        boolean applied = switch (process.options.failurePolicy) {
            case END -> process.kill() || poison(task, done) || pattern(task, done);
            case POISON -> poison(task, done) || process.kill() || pattern(task, done);
            case FILL -> pattern(task, done);
        };
        if (!applied) {
            ServedProcess.LOG.log(Level.ERROR, process.name()
                    + " can neither be ended nor told: who touches the pages at offset "
                    + (task.offset() + done) + " waits for ever");
        }
        return applied;
    }

    private boolean poison(LoadTask task, long done) throws IOException {
        try {
            return fill(task, done, (address, skipped, length) -> uffd.tryPoison(address, length)) == task.length();
        } catch (UffdException e) {
            if (e.errno() != Abi.EINVAL && e.errno() != Abi.ENOTTY) {
                throw e;
            }
            return false;
        }
    }

    private boolean pattern(LoadTask task, long done) throws IOException {
        int page = (int) task.states.mapping.pageSize();
        ByteBuffer pattern = ByteBuffer.allocateDirect(page).order(ByteOrder.nativeOrder());
        while (pattern.hasRemaining()) {
            pattern.putLong(LoadFailurePolicy.PATTERN);
        }
        long source = Native.directAddress(pattern);
        try {
            return fill(task, done, (address, skipped, length) -> uffd.tryCopy(address, source, page)) == task.length();
        } finally {
            Reference.reachabilityFence(pattern);
        }
    }

    /**
     * Whether a fault's page is registered no more, is there, or an event is unread that may tell of it: it was moved before the fault
     * was read, or has come there. The ioctl fills nothing of private memory, and maps of shared memory what is there. Before Linux 5.13
     * it does not tell.
     */
    private boolean isStale(long address) throws IOException {
        try {
            uffd.tryContinueRange(address & -Ranges.PAGE, Ranges.PAGE);
            return true;
        } catch (UffdException e) {
            if (e.errno() == Abi.ESRCH) {
                throw e;
            }
            return e.errno() == Abi.ENOENT;
        }
    }

    /** A fault that no mapping has: whoever waits for it does so for ever, unless its process is ended. */
    void outside(long address) throws IOException {
        if (isStale(address)) {
            uffd.wake(address & -Ranges.PAGE, Ranges.PAGE);
            return;
        }
        IOException cause = new IOException("a fault at 0x" + Long.toHexString(address) + ", which is in none of its mappings");
        ServedProcess.LOG.log(Level.ERROR, process.name(), cause);
        process.failed(new LoadFailure(address, 1, cause));
        if (!process.kill()) {
            throw cause;
        }
    }

    /**
     * Nothing is loaded any more: every page that was never put in place gets what the policy says.
     *
     * @param placedAreThere false if somebody may be waiting for a page that was put in place and thrown away since, too
     * @return false if a page may be missing still
     */
    boolean giveUp(Throwable why, boolean placedAreThere) throws IOException {
        if (placedAreThere && !isAnyMissing()) {
            return true;
        }
        Optional<PageStates> first = table.mappings().stream().findFirst();
        if (first.isEmpty()) {
            return true;
        }
        LoadFailure failure = new LoadFailure(first.get().mapping.offset(), first.get().mapping.length(), why);
        ServedProcess.LOG.log(Level.ERROR, process.name() + (placedAreThere ? " still has" : " may have")
                + " pages that were never loaded; policy " + process.options.failurePolicy + ": " + why.getMessage());
        process.failed(failure);
        if (process.options.failurePolicy == LoadFailurePolicy.END && process.kill()) {
            process.awaitDeath();
            return true;
        }
        boolean applied = true;
        for (PageStates each : table.mappings()) {
            BitSet there = new BitSet();
            if (placedAreThere) {
                synchronized (process.queue) {
                    there.or(each.placed);
                }
            }
            for (int from = there.nextClearBit(0); from < each.pages();) {
                int next = there.nextSetBit(from);
                int to = next < 0 ? each.pages() : next;
                applied &= apply(new LoadTask(each, from, to - from, null), 0);
                from = there.nextClearBit(to);
            }
            uffd.wake(each.mapping.address(), each.mapping.length());
        }
        return applied;
    }

    private boolean isAnyMissing() {
        table.lock().readLock().lock();
        try {
            synchronized (process.queue) {
                return table.isAnyMissing();
            }
        } finally {
            table.lock().readLock().unlock();
        }
    }

    /** {@return false if the process is gone, or is another program by now, which no pidfd tells of; true if nothing of it is known} */
    boolean isAlive() throws IOException {
        Optional<PageStates> any = table.mappings().stream().findFirst();
        if (any.isEmpty()) {
            return true;
        }
        try {
            uffd.removeWriteProtection(any.get().mapping.address(), any.get().mapping.pageSize());
            return true;
        } catch (UffdException e) {
            // ENOENT, because the range is not registered for it, says that the process is there.
            return e.errno() != Abi.ESRCH;
        }
    }
}
