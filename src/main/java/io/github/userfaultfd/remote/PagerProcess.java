// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.SystemNames;
import io.github.userfaultfd.internal.UseCount;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Fills the pages of a region of this JVM with Java code that runs in a JVM of its own: decompressed, decrypted, fetched. The
 * region's buffers can be used from any thread of this JVM. What holds up the loader, a collection of the child or a slow
 * server, holds up the access, and a safepoint of this JVM as long; nothing hangs.
 *
 * <pre>{@code
 * PagerProcess pager = PagerProcess.start(region, MyLoader.class, "some", "arguments");
 * }</pre>
 *
 * <p>This process keeps a copy of the descriptor: when the child dies, whoever waits for a page waits on, and a new child is
 * started, by native code, because this JVM may be unable to run any. What the dead one had begun is loaded again. A child that
 * dies too often is a failure of all missing pages: see {@link PagerProcessBuilder#onFailure}.
 *
 * <p>System calls on missing pages fail with EFAULT, as with every descriptor that is user-mode-only:
 * {@link MemoryRegion#fetchBuffer}. All methods can be called from any thread; on a closed one they throw {@link
 * IllegalStateException}.
 */
public final class PagerProcess implements AutoCloseable {
    private static final int FAILED_PAGES_MESSAGE = 256;
    private static final int MOST_TRIES = 1000;
    private static final long PAUSE_NANOS = 1_000_000;

    private final RegionOwner owner;
    private final String loader;
    private final Uffd uffd;
    private final long handle;
    private final UseCount uses = new UseCount();

    private final class Service implements RegionOwner.Service {
        @Override
        public boolean fill(long offset, long length) throws IOException {
            if (!uses.acquire()) {
                // It has ended meanwhile: all pages are in place, or raise SIGBUS because the region closes.
                return false;
            }
            try {
                PagerProcess.this.fill(offset, length);
            } finally {
                uses.release();
            }
            return true;
        }

        @Override
        public void tookAway(long offset, long length) {
            // They fault again when they are touched.
        }

        @Override
        public void regionCloses() {
            end(true);
        }

        @Override
        public String toString() {
            return PagerProcess.this.toString();
        }
    }

    PagerProcess(PagerProcessBuilder options) throws IOException {
        owner = options.owner;
        loader = options.loader.getName();
        owner.enter();
        Uffd open = null;
        long result = 0;
        try {
            owner.claim(new Service());
            try {
                owner.refuseIfRead();
                open = new UffdBuilder().closeOnExec(true).nonBlocking(true).create();
                result = startKeeper(options, open.fd());
            } finally {
                if (result <= 0) {
                    owner.unclaim();
                    if (open != null) {
                        open.close();
                    }
                }
            }
            owner.freeLeftover();
        } finally {
            owner.exit();
        }
        uffd = open;
        handle = result;
    }

    private long startKeeper(PagerProcessBuilder options, int fd) throws UffdException {
        List<String> command = options.command();
        byte[] words = SystemNames.ended(String.join("\0", command));
        ByteBuffer direct = ByteBuffer.allocateDirect(words.length).put(words);
        Scratch status = new Scratch(1);
        Scratch wanted = new Scratch(Abi.KEEPER_LONGS)
                .set(Abi.KEEPER_FD, fd)
                .set(Abi.KEEPER_ADDRESS, owner.address())
                .set(Abi.KEEPER_MEMORY, owner.memoryFd())
                .set(Abi.KEEPER_LENGTH, owner.length())
                .set(Abi.KEEPER_PAGE, owner.pageSize())
                .set(Abi.KEEPER_ARGUMENTS, Native.directAddress(direct))
                .set(Abi.KEEPER_COUNT, command.size())
                .set(Abi.KEEPER_RESTARTS, options.restarts)
                .set(Abi.KEEPER_READY, options.startTimeout)
                .set(Abi.KEEPER_ON_FAILURE, options.failurePolicy == LoadFailurePolicy.FILL
                ? Abi.FAILURE_FILL : Abi.FAILURE_ABORT);
        long result = wanted.pass(at -> status.pass(statusAt -> Native.keeperStart(at, statusAt)));
        Reference.reachabilityFence(direct);
        if (result < 0) {
            String reason = switch ((int) -result) {
                case Abi.ECHILD -> "the child ended before it served (" + ending((int) status.get(0))
                        + "); what it wrote tells why, and it needs the loader's class on its class path";
                case Abi.ETIMEDOUT -> "the child did not serve within " + Duration.ofNanos(options.startTimeout);
                case Abi.ENOENT -> "there is no " + command.get(0);
                default -> Errno.meaning((int) -result);
            };
            throw new UffdException("start", (int) -result, "a pager process for the region " + text(), reason);
        }
        return result;
    }

    /** Of the status of wait(2), as shells tell it. */
    private static String ending(int status) {
        int signal = status & 0x7f;
        return signal == 0 ? "exit code " + (status >> 8 & 0xff) : "signal " + signal;
    }

    /**
     * Starts a child with default options, see {@link #of}.
     *
     * @param region to be filled. <b>What was written to it before is gone</b>
     * @param loader makes the pages in the child: a class with a constructor of no arguments, or of one {@code String[]}
     * @param arguments for that constructor
     * @return when the child serves
     * @throws IOException if it cannot be started
     */
    public static PagerProcess start(MemoryRegion region, Class<? extends PageLoader> loader, String... arguments)
            throws IOException {
        return of(region, loader, arguments).start();
    }

    /**
     * Describes a child; {@link PagerProcessBuilder#start} starts it.
     *
     * @param region to be filled
     * @param loader makes the pages in the child: a class with a constructor of no arguments, or of one {@code String[]}
     * @param arguments for that constructor
     * @return a builder
     */
    public static PagerProcessBuilder of(MemoryRegion region, Class<? extends PageLoader> loader, String... arguments) {
        return new PagerProcessBuilder(RegionOwner.of(region, region.address()), loader, arguments);
    }

    private void enter() {
        if (!uses.acquire()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /** Touched from native code, which holds up no safepoint. Inside of a use. */
    private void fill(long offset, long length) throws IOException {
        touch("fetch", offset, length);
        throwFailure(nativeStats());
    }

    private void touch(String operation, long offset, long length) throws UffdException {
        int failed = Native.touch(owner.address() + offset, length, owner.pageSize());
        if (failed < 0) {
            throw new UffdException(operation, -failed, "at offset " + offset + ", " + length + " bytes",
                    "a page of the range is poisoned, or the memory below it cannot be had");
        }
    }

    private Scratch stats() {
        enter();
        try {
            return nativeStats();
        } finally {
            uses.release();
        }
    }

    private Scratch nativeStats() {
        Scratch stats = new Scratch(Abi.KEPT_LONGS);
        stats.pass(at -> Native.keeperStats(handle, at));
        return stats;
    }

    /** {@return the child's process number; empty while there is none} */
    public Optional<Long> pid() {
        long pid = stats().get(Abi.KEPT_PID);
        return pid == 0 ? Optional.empty() : Optional.of(pid);
    }

    /** {@return how often a new child took over} */
    public long restarts() {
        return stats().get(Abi.KEPT_RESTARTS);
    }

    /** {@return how long it took from the last death that was noticed until the new child served; zero if there was none} */
    public Duration lastRecovery() {
        return Duration.ofNanos(stats().get(Abi.KEPT_RECOVERY));
    }

    /** {@return how long the first child took until it served} */
    public Duration startTime() {
        return Duration.ofNanos(stats().get(Abi.KEPT_START));
    }

    /**
     * Throws if anything is wrong: a page failed and reads as {@link LoadFailurePolicy#PATTERN}, or no child can be had any
     * more and all missing pages do. Only under {@link LoadFailurePolicy#FILL}; nothing goes wrong unseen under the others.
     *
     * @throws UffdException naming the first failed page
     */
    public void check() throws UffdException {
        enter();
        try {
            throwFailure(nativeStats());
        } finally {
            uses.release();
        }
    }

    private void throwFailure(Scratch stats) throws UffdException {
        if (stats.get(Abi.KEPT_FAILURES) > 0) {
            throw new UffdException("check", Abi.EIO, "of " + this, "the page at offset " + stats.get(Abi.KEPT_FAILED_AT)
                    + " could not be loaded and reads as the failure pattern; it may not be the only one: " + reason());
        }
        if (stats.get(Abi.KEPT_STATE) == Abi.KEEPER_GAVE_UP) {
            throw new UffdException("check", Abi.ECHILD, "of " + this,
                    "the child has ended or failed to start too often; pages that were missing then read as the failure pattern");
        }
    }

    private String reason() {
        ByteBuffer text = ByteBuffer.allocateDirect(FAILED_PAGES_MESSAGE);
        try {
            int length = Native.keeperReason(handle, Native.directAddress(text), text.capacity());
            return StandardCharsets.UTF_8.decode(text.limit(length)).toString();
        } finally {
            Reference.reachabilityFence(text);
        }
    }

    /**
     * Fills the missing pages of a range before they are touched, the child's workers side by side; returns when all are
     * there.
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @throws IOException if a page could not be loaded
     */
    public void prefetch(long offset, long length) throws IOException {
        Ranges.checkInside("prefetch", offset, length, owner.length());
        if (length > 0) {
            long page = owner.pageSize();
            long from = offset / page * page;
            long end = (offset + length + page - 1) / page * page;
            tellAhead(new long[] {from, end - from});
            enter();
            try {
                fill(from, end - from);
            } finally {
                uses.release();
            }
        }
    }

    /**
     * Has the child load a range ahead, and returns when it knows: at once, or after a second at most where there is no child at
     * the moment, or one that does not read. What is in place when it is touched costs no fault. A page that
     * cannot be loaded ahead is left to its fault, and so is all that is left when the child dies.
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     */
    public void readAhead(long offset, long length) {
        Ranges.checkInside("readAhead", offset, length, owner.length());
        if (length > 0) {
            tellAhead(new long[] {offset, length});
        }
    }

    /**
     * Has the child load what a trace says, in its order, as {@link #readAhead(long, long)} does: offsets are from the region's
     * start. What is beyond the region's end is left out.
     *
     * @param plan recorded before
     */
    public void readAhead(TouchTrace plan) {
        tellAhead(plan.runs());
    }

    /** In messages that the child gets whole. While it reads none, or there is none, the rest is left to the faults. */
    private void tellAhead(long[] runs) {
        int most = Abi.AHEAD_BYTES / Long.BYTES;
        enter();
        try {
            for (int done = 0; done < runs.length;) {
                int count = Math.min(most, runs.length - done);
                Scratch message = new Scratch(count);
                for (int i = 0; i < count; i++) {
                    message.set(i, runs[done + i]);
                }
                if (!tell(message, count)) {
                    return;
                }
                done += count;
            }
        } finally {
            uses.release();
        }
    }

    private boolean tell(Scratch message, int longs) {
        for (int i = 0; i < MOST_TRIES; i++) {
            if (message.pass(at -> Native.keeperAhead(handle, at, (long) longs * Long.BYTES)) == 0) {
                return true;
            }
            LockSupport.parkNanos(PAUSE_NANOS);
        }
        return false;
    }

    /**
     * Loads all that is missing, ends the child, and leaves the region as ordinary memory; a second close does nothing. Takes
     * as long as loading takes; to give the missing pages up, close the region instead.
     *
     * @throws IOException if a page could not be loaded. It stays open if one cannot even be touched, because the memory below it is
     *     bad or was cut short: what is missing behind that page would turn into zeros
     */
    @Override
    public void close() throws IOException {
        UffdException failure = end(false);
        if (failure != null) {
            throw failure;
        }
    }

    /** While it fills, nobody may discard pages: one discarded behind its back would turn into zeros. */
    private @Nullable UffdException end(boolean detach) {
        UffdException failure = null;
        owner.pages().writeLock().lock();
        try {
            if (uses.isClosed()) {
                return null;
            }
            if (!detach) {
                try {
                    touch("close", 0, owner.length());
                } catch (UffdException e) {
                    return e;
                }
                try {
                    throwFailure(nativeStats());
                } catch (UffdException e) {
                    failure = e;
                }
            }
            uses.close();
            uses.awaitIdle(() -> { });
            int failed = detach ? Native.keeperDetach(handle) : Native.keeperFinish(handle);
            if (failed < 0) {
                uses.reopen();
                return new UffdException("close", -failed, "of " + this);
            }
            uffd.close();
            Native.keeperFree(handle);
            owner.unclaim();
            return failure;
        } finally {
            owner.pages().writeLock().unlock();
        }
    }

    private String text() {
        return Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "PagerProcess[" + loader + ", region " + text() + (uses.isClosed() ? ", closed" : "") + "]";
    }
}
