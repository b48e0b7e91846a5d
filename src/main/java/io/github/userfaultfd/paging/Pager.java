// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.UseCount;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * Fills the pages of a region from a source when they are touched. The faults are resolved by native code, so the region's
 * buffers can be used from any Java thread without the hazard that {@link Uffd} names.
 *
 * <pre>{@code
 * MemoryRegion region = MemoryRegion.anonymous(Files.size(path));
 * try (Pager pager = Pager.of(region, PageSource.file(path)).start()) {
 *     region.asByteBuffer(0, 4096).getInt(12);  // the page is there when the get returns
 * }
 * }</pre>
 *
 * <p>A page that cannot be filled (the file was cut short, an I/O error) ends the process with one line that names it, unless
 * {@link FailurePolicy} is set otherwise: nothing ever goes on with a wrong byte unseen. {@link #prefetch} and
 * {@link MemoryRegion#fetch} before the access give an exception instead.
 *
 * <p>The source's latency adds to the JVM's time to safepoint, as with a mapped file: memory and local files are fine, slow
 * sources want {@link #prefetch}. System calls on missing pages, such as reading from a channel into the region, fail with
 * EFAULT unless the pager is {@link PagerBuilder#userModeOnly(boolean) not user-mode-only}: {@link MemoryRegion#fetchBuffer}.
 *
 * <p>A process that is forked without an exec does not have the region while it is paged (madvise(2), MADV_DONTFORK): its own
 * mapping would be registered with nobody, and read as zeros.
 *
 * <p>The pager lives as long as its region even if it is not referred to. All methods can be called from any thread; on a
 * closed pager they throw {@link IllegalStateException}.
 */
public final class Pager implements AutoCloseable {
    private static final Set<Pager> OPEN = ConcurrentHashMap.newKeySet();

    private final RegionOwner owner;
    private final PageSource source;
    private final FaultEngine engine;
    private final Close onClose;
    private final Consumer<? super PageFailure> failureListener;
    private final Uffd uffd;
    private final long sourceHandle;
    private final long handle;
    private final UseCount uses = new UseCount();
    /** Under the lock of the region's pages. */
    private boolean ended;
    /** Offsets of failed pages that the log and the listener know of. */
    private final Set<Long> told = ConcurrentHashMap.newKeySet();

    private final RegionOwner.Reader reader = new RegionOwner.Reader() {
        @Override
        public boolean reads(long start, long bytes) {
            return source.reads(start, bytes);
        }

        @Override
        public String toString() {
            return Pager.this.toString();
        }
    };

    /** INLINE cannot be had; the message says why. AUTO takes THREAD then. */
    static final class InlineUnavailableException extends UffdException {
        private static final long serialVersionUID = 1L;

        InlineUnavailableException(int errno, String reason) {
            super("start", errno, "with engine INLINE", reason);
        }
    }

    /** What a running pager needs of its region: everything but the {@link MemoryRegion}, which may become unreachable. */
    private final class Service implements RegionOwner.Service {
        @Override
        public boolean fill(long offset, long length) throws IOException {
            // While the pager closes, a touch waits for it or finds its pages there.
            if (!uses.acquire()) {
                return false;
            }
            try {
                Pager.this.fill("fetch", offset, length);
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
        public long pager() {
            return engine == FaultEngine.INLINE && !uses.isClosed() ? handle : 0;
        }

        @Override
        public int descriptor() {
            return uffd.fd();
        }

        @Override
        public void regionCloses() {
            end(Close.DETACH, true);
        }

        @Override
        public String toString() {
            return Pager.this.toString();
        }
    }

    Pager(PagerBuilder options, FaultEngine engine) throws IOException {
        this.owner = options.owner;
        this.source = options.source;
        this.engine = engine;
        this.onClose = options.onClose;
        this.failureListener = options.failureListener;
        owner.enter();
        Uffd openUffd = null;
        PageSource.Opened openSource = null;
        long result = 0;
        try {
            owner.claim(new Service());
            try {
                owner.refuseIfRead();
                openSource = source.open(owner.length(), owner.pageSize());
                openUffd = open(options, engine);
                result = nativeOptions(options, openUffd, openSource.handle()).pass(Native::pagerStart);
                if (result < 0) {
                    throw refused((int) -result);
                }
            } finally {
                if (result <= 0) {
                    owner.unclaim();
                    if (openUffd != null) {
                        openUffd.close();
                    }
                    if (openSource != null) {
                        Native.sourceFree(openSource.handle());
                    }
                }
            }
            handle = result;
            uffd = openUffd;
            sourceHandle = openSource.handle();
            owner.holds(openSource.image());
            owner.freeLeftover();
        } finally {
            owner.exit();
        }
        OPEN.add(this);
        RegionOwner.reads(reader);
        PagerMonitor.watch();
        PagerEvents.started(this);
    }

    private static Uffd open(PagerBuilder options, FaultEngine engine) throws UffdException {
        try {
            return options.descriptor(engine).create();
        } catch (UnsupportedFeaturesException e) {
            throw new InlineUnavailableException(e.errno(), String.valueOf(e.getMessage()));
        }
    }

    private Scratch nativeOptions(PagerBuilder options, Uffd openUffd, long openSource) {
        return new Scratch(Abi.OPTION_LONGS)
                .set(Abi.OPTION_FD, openUffd.fd())
                .set(Abi.OPTION_ADDRESS, owner.address())
                .set(Abi.OPTION_LENGTH, owner.length())
                .set(Abi.OPTION_PAGE, owner.pageSize())
                .set(Abi.OPTION_SOURCE, openSource)
                .set(Abi.OPTION_AROUND, options.around)
                .set(Abi.OPTION_ENGINE, engine == FaultEngine.INLINE ? Abi.ENGINE_INLINE : Abi.ENGINE_THREAD)
                .set(Abi.OPTION_THREADS, options.threads)
                .set(Abi.OPTION_MEMORY, owner.memoryFd())
                .set(Abi.OPTION_ON_FAILURE, options.failurePolicy == FailurePolicy.FILL ? Abi.FAILURE_FILL : Abi.FAILURE_ABORT);
    }

    private UffdException refused(int errno) {
        if (errno == Abi.EOPNOTSUPP) {
            return new InlineUnavailableException(errno,
                    "other code of this process has replaced the SIGBUS handler of this library"
                            + " (remedy: FaultEngine.AUTO or THREAD)");
        }
        return new UffdException("start", errno, "a pager of the region " + text());
    }

    /**
     * Describes a pager; {@link PagerBuilder#start} makes it.
     *
     * @param region what to fill
     * @param source where the pages come from
     * @return a builder
     */
    public static PagerBuilder of(MemoryRegion region, PageSource source) {
        Objects.requireNonNull(source, "source");
        return new PagerBuilder(RegionOwner.of(region, region.address()), source);
    }

    /** The pagers that are open now. */
    static Set<Pager> open() {
        return OPEN;
    }

    /** {@return who resolves the faults, never {@link FaultEngine#AUTO}} */
    public FaultEngine engine() {
        return engine;
    }

    /**
     * Fills the missing pages of a range before they are touched; returns when all are there.
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @throws UffdException EFAULT: the source cannot be read, now or when the page was touched
     * @throws IOException if a page cannot be filled
     */
    public void prefetch(long offset, long length) throws IOException {
        Ranges.checkInside("prefetch", offset, length, owner.length());
        enter();
        try {
            if (length > 0) {
                long page = owner.pageSize();
                long from = offset / page * page;
                fill("prefetch", from, (offset + length + page - 1) / page * page - from);
            }
        } finally {
            uses.release();
        }
    }

    /** The caller holds a use. */
    private void fill(String operation, long offset, long length) throws IOException {
        int failed = Native.pagerFill(handle, offset, length);
        if (failed < 0) {
            throw new UffdException(operation, -failed, "at offset " + offset + ", " + length + " bytes",
                    "a page cannot be filled from " + source.place(sourceHandle, -1));
        }
    }

    /**
     * Throws if anything is wrong: a page failed and reads as {@link FailurePolicy#PATTERN}, or other code has replaced the
     * SIGBUS handler that {@link FaultEngine#INLINE} needs.
     *
     * @throws UffdException naming the first failed page, or the lost handler
     */
    public void check() throws UffdException {
        enter();
        try {
            Optional<PageFailure> failure = nextFailure(0);
            if (failure.isPresent()) {
                throw failed("check", failure.get());
            }
            if (hasLostHandler()) {
                throw new UffdException("check", Abi.EBUSY, "of " + this,
                        "other code of this process has replaced the SIGBUS handler of this library: the next fault is not resolved");
            }
        } finally {
            uses.release();
        }
    }

    boolean hasLostHandler() {
        return engine == FaultEngine.INLINE && Native.sigbusIsOurs() == 0;
    }

    private UffdException failed(String operation, PageFailure first) {
        return new UffdException(operation, first.errno(), "of the pager of the region " + text(),
                "the page at offset " + first.offset() + " could not be filled from " + source.place(sourceHandle, first.offset())
                        + " and reads as the failure pattern, or as far as its file went while it was copied; it may not be the only one");
    }

    /** The first failed page from an offset on. The caller holds a use. */
    private Optional<PageFailure> nextFailure(long offset) {
        long at = offset < owner.length() ? Native.pagerNextFailed(handle, offset) : -1;
        return at < 0 ? Optional.empty()
                : Optional.of(new PageFailure(at, owner.pageSize(), Native.pagerFailedErrno(handle)));
    }

    /** The failed pages. The caller holds a use, or is the one that closes. */
    private List<PageFailure> failures() {
        List<PageFailure> failures = new ArrayList<>();
        for (Optional<PageFailure> each = nextFailure(0); each.isPresent();) {
            failures.add(each.get());
            each = nextFailure(each.get().offset() + owner.pageSize());
        }
        return failures;
    }

    /** Tells the failed pages that nobody was told yet; nothing if the pager is closed. */
    void tellFailures() {
        List<PageFailure> failures;
        if (!uses.acquire()) {
            return;
        }
        try {
            failures = failures();
        } finally {
            uses.release();
        }
        // One that was discarded and filled well since may fail again.
        told.retainAll(failures.stream().map(PageFailure::offset).collect(Collectors.toSet()));
        tell(failures);
    }

    /** Holding nothing: who hears of a failure may well close the pager or its region. */
    private void tell(List<PageFailure> failures) {
        List<PageFailure> anew = failures.stream().filter(each -> told.add(each.offset())).toList();
        if (!anew.isEmpty()) {
            PagerMonitor.tell(this, anew);
        }
    }

    Consumer<? super PageFailure> failureListener() {
        return failureListener;
    }

    /** {@return what the pager has done so far; takes no lock that a faulting thread would wait for} */
    public PagerStats stats() {
        enter();
        try {
            return readStats(new Scratch(Abi.STATS_LONGS));
        } finally {
            uses.release();
        }
    }

    /** The statistics, empty if the pager is closed. */
    Optional<PagerStats> statsIfOpen() {
        if (!uses.acquire()) {
            return Optional.empty();
        }
        try {
            return Optional.of(readStats(new Scratch(Abi.STATS_LONGS)));
        } finally {
            uses.release();
        }
    }

    private PagerStats readStats(Scratch stats) {
        stats.pass(address -> Native.pagerStats(handle, address));
        long pages = stats.get(Abi.STATS_PAGES);
        return new PagerStats(stats.get(Abi.STATS_FAULTS), pages, pages * owner.pageSize(), stats.get(Abi.STATS_PRESENT),
                stats.get(Abi.STATS_RETRIED), stats.get(Abi.STATS_FAILED), stats.get(Abi.STATS_NANOSECONDS));
    }

    private void enter() {
        if (!uses.acquire()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /**
     * Stops paging, with the missing pages treated as {@link PagerBuilder#onClose} says; a second close does nothing. With
     * {@link Close#FILL} it takes as long as filling takes.
     *
     * @throws IllegalStateException if a tracker or a snapshotter works on the same region: close that first
     * @throws UffdException if a page cannot be filled. With {@link FailurePolicy#ABORT} the pager goes on then, and no page has
     *     become zeros; with {@link FailurePolicy#FILL} it is closed, and what failed, now or before, reads as the pattern
     */
    @Override
    public void close() throws UffdException {
        Optional<UffdException> failure = end(onClose, false);
        if (failure.isPresent()) {
            throw failure.get();
        }
    }

    /** Ends once; a region that closes waits for a close under way, and ends what that could not. */
    private Optional<UffdException> end(Close how, boolean regionCloses) {
        Scratch room = new Scratch(Abi.STATS_LONGS);
        synchronized (owner.startLock()) {
            if (!regionCloses && owner.beside() != null) {
                throw new IllegalStateException(owner.beside() + " works on the pages of " + this + ": close it first");
            }
            if (!uses.close() && !regionCloses) {
                return Optional.empty();
            }
        }
        List<PageFailure> failures;
        PagerStats last;
        Optional<UffdException> failure;
        // While it fills, nobody may discard pages: one discarded behind its back would turn into zeros.
        owner.pages().writeLock().lock();
        try {
            if (ended) {
                return Optional.empty();
            }
            uses.close();
            uses.awaitIdle(() -> { });
            last = readStats(room);
            int failed = how == Close.FILL ? Native.pagerFinish(handle) : Native.pagerDetach(handle);
            if (failed < 0) {
                uses.reopen();
                return Optional.of(new UffdException("close", -failed, "of the pager of the region " + text(),
                        "the missing pages cannot be filled from " + source.place(sourceHandle, -1) + "; close the region to give them up"));
            }
            ended = true;
            failures = failures();
            failure = failures.stream().findFirst().map(first -> failed("close", first));
            OPEN.remove(this);
            RegionOwner.readsNoMore(reader);
            uffd.close();
            Native.sourceFree(sourceHandle);
            if (how == Close.DETACH) {
                owner.giveUp();
            }
            owner.unclaim(() -> Native.pagerFree(handle));
        } finally {
            owner.pages().writeLock().unlock();
        }
        tell(failures);
        PagerEvents.closed(this, last);
        return failure;
    }

    String source() {
        return source.toString();
    }

    String text() {
        return Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "Pager[" + engine + ", region " + text() + ", from " + source + (uses.isClosed() ? ", closed" : "") + "]";
    }
}
