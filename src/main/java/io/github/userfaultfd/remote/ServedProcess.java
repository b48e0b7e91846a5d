// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A process whose faults are resolved, until it ends or the service is closed. One thread reads its events, others load.
 * Pages that it gave back (madvise) read as zeros from then on, as it expects of private memory; a child that it forks is served
 * like itself, if the descriptor reports forks. All methods can be called from any thread.
 */
public final class ServedProcess implements AutoCloseable {
    static final System.Logger LOG = System.getLogger("io.github.userfaultfd");
    private static final long TICK_NANOS = 200_000_000;
    private static final long DEATH_NANOS = 1_000_000_000;
    private static final long DEATH_PAUSE_NANOS = 200_000;

    private final RemotePager pager;
    private final String name;
    private final int pidfd;
    final Uffd uffd;
    final RemotePagerBuilder options;
    final Counters counters = new Counters();
    final PageTable table;
    final LoadQueue queue;
    private final PageFiller filler;
    private final EventReader events;
    private final TouchTrace trace = new TouchTrace();
    private final AtomicReference<LoadFailure> failure = new AtomicReference<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private final AtomicBoolean released = new AtomicBoolean();
    private volatile boolean finishing;
    private volatile boolean finished;
    private volatile boolean closing;
    private volatile boolean dead;
    private volatile boolean keptOpen;
    private volatile @Nullable Thread loop;

    ServedProcess(RemotePager pager, Uffd uffd, int pidfd, String name, List<PageStates> mappings) throws IOException {
        this.pager = pager;
        this.uffd = uffd;
        this.pidfd = pidfd;
        this.name = name;
        options = pager.options;
        try {
            table = new PageTable(mappings, uffd.enabledFeatures().contains(Feature.EVENT_UNMAP));
            int result = Native.nonBlocking(uffd.fd());
            if (result < 0) {
                throw new UffdException("serve", -result, name);
            }
        } catch (IOException | RuntimeException e) {
            release();
            throw e;
        }
        queue = new LoadQueue(options.workers, this::startLoader);
        filler = new PageFiller(this);
        events = new EventReader(this, filler, trace);
    }

    /** If it throws, nobody reads the events, and {@link #refuse} has to follow. */
    void start() throws IOException {
        Thread thread = new Thread(this::run, "userfaultfd-events " + name);
        loop = thread;
        try {
            Daemons.start(thread);
        } catch (IOException e) {
            loop = null;
            throw e;
        }
    }

    private void startLoader() throws IOException {
        Daemons.start(new Thread(new PageWorker(this, filler), "userfaultfd-loader " + name));
    }

    private void run() {
        try {
            long tick = System.nanoTime();
            while (!closing && !dead) {
                int ready = Native.pollOrEnd(uffd.fd(), pidfd, TICK_NANOS);
                if (ready < 0 && ready != -Abi.EINTR) {
                    throw new UffdException("poll", -ready, "of the userfaultfd of " + name);
                }
                if (ready > 0 && (ready & 2) != 0) {
                    dead = true;
                } else if (ready > 0) {
                    events.drain();
                }
                if (finishing && !dead) {
                    finished = events.drainAndUnregister();
                    if (finished) {
                        closing = true;
                    }
                    finishing = false;
                } else if (System.nanoTime() - tick > TICK_NANOS) {
                    tick = System.nanoTime();
                    tick();
                }
            }
        } catch (IOException | RuntimeException | Error e) {
            broken(e);
        } finally {
            finished();
        }
    }

    /** The service cannot go on. What is not there would be waited for for ever: so that is a failure of all of it. */
    void broken(Throwable e) {
        if (e instanceof UffdException refused && refused.errno() == Abi.ESRCH) {
            dead = true;
            return;
        }
        try {
            LOG.log(Level.ERROR, "the service of " + name + " ends", e);
        } finally {
            if (options.whenBroken != null) {
                options.whenBroken.accept(e);
            }
            giveUp(e, false);
            closing = true;
        }
    }

    private void tick() throws IOException {
        for (LoadTask each : queue.running()) {
            if (each.runningNanos() > options.loadTimeout && each.settle()) {
                each.interrupt();
                queue.abandoned();
                filler.fail(each, 0, new IOException("the loader took longer than "
                        + Duration.ofNanos(options.loadTimeout)));
            }
        }
        if (pidfd < 0 && !filler.isAlive()) {
            dead = true;
        }
    }

    /** The kernel refuses as long as an event is unread: the thread that reads them must not wait for that. */
    void readOn() throws IOException {
        if (Thread.currentThread() == loop) {
            events.drain();
        }
    }

    private void finished() {
        if (dead) {
            LOG.log(Level.DEBUG, name + " has ended");
        }
        queue.close(new IOException(name + (dead ? " has ended" : " is not served any more")));
        pager.ended(this);
        release();
        ended.countDown();
    }

    /** Closes the descriptors. Threads that still load find them closed. Without its last one, missing pages are zeros. */
    void release() {
        if (released.compareAndSet(false, true)) {
            if (keptOpen) {
                keepOpen();
            } else {
                uffd.close();
            }
            synchronized (released) {
                if (pidfd >= 0) {
                    Native.close(pidfd);
                }
            }
        }
    }

    private void keepOpen() {
        try {
            LOG.log(Level.ERROR, name + " has missing pages that nobody can fill: its userfaultfd stays open, descriptor "
                    + uffd.detach());
        } catch (ClosedChannelException e) {
            LOG.log(Level.ERROR, "the userfaultfd of " + name + " was closed", e);
        }
    }

    /** Serves a child that the process forked, with the same pages. */
    void forked(Uffd child) {
        String childName = "a child of " + name;
        List<PageStates> mappings;
        synchronized (queue) {
            mappings = table.copies();
        }
        try {
            pager.add(new ServedProcess(pager, child, -1, childName, mappings));
        } catch (IOException | IllegalStateException e) {
            LOG.log(Level.ERROR, childName + " is not served", e);
        }
    }

    void failed(LoadFailure what) {
        failure.compareAndSet(null, what);
        try {
            options.failureListener.accept(what);
        } catch (RuntimeException e) {
            LOG.log(Level.ERROR, "the failure listener of " + name + " failed", e);
        }
    }

    /** {@return whether the process has got SIGKILL, or has ended, or is another program by now (execve)} */
    boolean kill() throws IOException {
        synchronized (released) {
            if (released.get()) {
                // The number may be that of another process by now.
                return dead;
            }
            if (!filler.isAlive()) {
                died();
                return true;
            }
            int result = pidfd < 0 ? -Abi.ESRCH : Native.pidfdSignal(pidfd, Abi.SIGKILL);
            return result == 0 || (pidfd >= 0 && result == -Abi.ESRCH);
        }
    }

    /** {@return whether its pidfd tells that the process has ended} */
    boolean isGone() {
        synchronized (released) {
            int ready = pidfd < 0 || released.get() ? 0 : Native.pollOrEnd(uffd.fd(), pidfd, 0);
            return ready > 0 && (ready & 2) != 0;
        }
    }

    /**
     * After a SIGKILL: a thread of the process that is in a system call may go on for a moment, and without the descriptor would
     * find zeros.
     */
    void awaitDeath() {
        long end = System.nanoTime() + DEATH_NANOS;
        while (!dead && !isGone() && System.nanoTime() < end) {
            LockSupport.parkNanos(DEATH_PAUSE_NANOS);
        }
    }

    boolean hasPidfd() {
        return pidfd >= 0;
    }

    void died() {
        dead = true;
    }

    boolean isOver() {
        return closing || dead;
    }

    /** {@return who is served, in words for people} */
    public String name() {
        return name;
    }

    /** {@return what was done so far} */
    public ServedStats stats() {
        return counters.stats();
    }

    /** {@return which pages were touched first, so far; it grows while the process runs} */
    public TouchTrace trace() {
        return trace;
    }

    /** {@return the first failure, empty if there was none} */
    public Optional<LoadFailure> failure() {
        return Optional.ofNullable(failure.get());
    }

    /**
     * Loads what a trace says, in its order, while faults are served first. What is there already is left out, and so is what
     * the trace has beyond the mappings.
     *
     * @param plan recorded before
     * @return done when all is in place; failed if a page failed, or the service ends before
     */
    public CompletableFuture<Void> prefetch(TouchTrace plan) {
        return prefetch(plan.runs());
    }

    /**
     * Loads a range of what is served, while faults are served first.
     *
     * @param offset in bytes
     * @param length in bytes; what is beyond the mappings is left out
     * @return done when all is in place; failed if a page failed, or the service ends before
     */
    public CompletableFuture<Void> prefetch(long offset, long length) {
        if (offset < 0 || length < 0) {
            throw new IndexOutOfBoundsException("prefetch: offset " + offset + " or length " + length + " is negative");
        }
        return prefetch(new long[] {offset, length});
    }

    private CompletableFuture<Void> prefetch(long[] runs) {
        Prefetch prefetch = new Prefetch();
        for (int i = 0; i < runs.length; i += 2) {
            table.addRuns(prefetch.runs, runs[i], runs[i + 1]);
        }
        queue.add(prefetch);
        return prefetch.result;
    }

    /**
     * Waits until the process has ended, or the service was closed.
     *
     * @param timeout how long at most
     * @return false if neither happened in that time
     * @throws InterruptedException if the thread is interrupted
     */
    public boolean awaitEnd(Duration timeout) throws InterruptedException {
        return ended.await(TimeUnit.NANOSECONDS.convert(timeout), TimeUnit.NANOSECONDS);
    }

    /** {@return whether the process has ended} */
    public boolean hasEnded() {
        return dead;
    }

    /**
     * Loads all that is missing, ends the service, and leaves the process alone with its memory. Takes as long as loading
     * takes. <b>The process must not throw pages away meanwhile</b>, unless its descriptor reports that.
     *
     * @throws IOException if a page could not be loaded; the service goes on then
     * @throws InterruptedException if the thread is interrupted; the service goes on then
     */
    public void finish() throws IOException, InterruptedException {
        do {
            loadAll();
            finishing = true;
            while (finishing && !ended.await(1, TimeUnit.MILLISECONDS)) {
                wakeLoop();
            }
            // Again if something is missing, or was asked for.
        } while (!isOver());
        awaitLoop();
        if (!finished && !dead) {
            throw new IOException("the service of " + name + " ended before it was finished");
        }
    }

    private void loadAll() throws IOException, InterruptedException {
        try {
            prefetch(table.all()).get();
        } catch (java.util.concurrent.ExecutionException e) {
            throw new IOException("the missing pages of " + name + " cannot be loaded", e.getCause());
        }
        Optional<LoadFailure> failed = failure();
        if (failed.isPresent()) {
            throw new IOException(name + ": " + failed.get(), failed.get().cause());
        }
    }

    /**
     * Ends the service at once; a second close does nothing. A process that is still there, with pages that were never
     * loaded, gets for them what the {@link LoadFailurePolicy} says: with the default it is ended.
     */
    @Override
    public void close() {
        if (!released.get() && !dead && !closing) {
            giveUp(new IOException("the service was closed"), true);
        }
        stop();
    }

    /** Instead of {@link #start}, when there is nobody to serve it. */
    void refuse() {
        close();
        release();
        ended.countDown();
    }

    private void giveUp(Throwable why, boolean placedAreThere) {
        boolean done = false;
        try {
            done = filler.giveUp(why, placedAreThere);
        } catch (IOException e) {
            if (e instanceof UffdException refused && refused.errno() == Abi.ESRCH) {
                dead = true;
            }
            LOG.log(Level.ERROR, "cannot give the missing pages of " + name + " up", e);
        }
        keptOpen = !done && !dead;
    }

    private void stop() {
        closing = true;
        if (Thread.currentThread() != loop && loop != null) {
            try {
                awaitLoop();
            } catch (InterruptedException e) {
                // The loop ends by itself at its next tick.
                Thread.currentThread().interrupt();
            }
        }
    }

    private void awaitLoop() throws InterruptedException {
        while (!ended.await(1, TimeUnit.MILLISECONDS)) {
            wakeLoop();
        }
    }

    private void wakeLoop() {
        if (!released.get()) {
            Native.interrupt(uffd.fd());
        }
    }

    @Override
    public String toString() {
        return "ServedProcess[" + name + (dead ? ", ended" : "") + "]";
    }
}
