// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.UseCount;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

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
 * <p>A page that cannot be filled (the file was cut short, an I/O error) ends the process with one line that names it: nothing
 * ever goes on with a wrong byte. {@link #prefetch} and {@link MemoryRegion#fetch} before the access give an exception instead.
 *
 * <p>The pager lives as long as its region even if it is not referred to. System calls on missing pages, such as reading from
 * a channel into the region, fail with EFAULT unless the pager is {@link Builder#userModeOnly(boolean) not user-mode-only}:
 * fetch first. All methods can be called from any thread; on a closed pager they throw {@link IllegalStateException}.
 */
public final class Pager implements AutoCloseable {
    private static final Set<Pager> OPEN = ConcurrentHashMap.newKeySet();

    private final RegionOwner owner;
    private final PageSource source;
    private final FaultEngine engine;
    private final Close onClose;
    private final Uffd uffd;
    private final long sourceHandle;
    private final long handle;
    private final UseCount uses = new UseCount();

    /** Collects the options of a pager. */
    public static final class Builder {
        private static final long DEFAULT_AROUND = 64 * 1024;

        private final RegionOwner owner;
        private final PageSource source;
        private FaultEngine engine = FaultEngine.AUTO;
        private Close onClose = Close.FILL;
        private long around;
        private boolean userModeOnly = true;

        private Builder(RegionOwner owner, PageSource source) {
            this.owner = owner;
            this.source = source;
            around = Math.max(owner.pageSize(), DEFAULT_AROUND);
        }

        /**
         * Who resolves the faults. {@link FaultEngine#AUTO} unless set.
         *
         * @param by the engine
         * @return this builder
         */
        public Builder engine(FaultEngine by) {
            engine = Objects.requireNonNull(by, "engine");
            return this;
        }

        /**
         * How much is filled for one fault, aligned to itself: more makes sequential reading faster and a single access
         * slower. 64 KiB unless set, or one page if that is larger.
         *
         * @param bytes a power of two, at least a page of the region
         * @return this builder
         */
        public Builder faultAround(long bytes) {
            if (Long.bitCount(bytes) != 1 || bytes < owner.pageSize()) {
                throw new IllegalArgumentException("faultAround: " + bytes
                        + " bytes is not a power of two of at least a page, " + owner.pageSize() + " bytes");
            }
            around = bytes;
            return this;
        }

        /**
         * What becomes of missing pages when the pager is closed. {@link Close#FILL} unless set.
         *
         * @param how what to do
         * @return this builder
         */
        public Builder onClose(Close how) {
            onClose = Objects.requireNonNull(how, "how");
            return this;
        }

        /**
         * Whether only faults of user mode are resolved. True unless set; false needs a right, see
         * {@link UffdBuilder#userModeOnly}, and then system calls can touch missing pages too.
         *
         * @param enabled the new value
         * @return this builder
         */
        public Builder userModeOnly(boolean enabled) {
            userModeOnly = enabled;
            return this;
        }

        /**
         * Empties the region (<b>what was written to it before is gone</b>), registers it and starts the engine.
         *
         * @return the running pager
         * @throws UffdException if the kernel refuses
         * @throws IOException if the source cannot be opened
         * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
         */
        public Pager start() throws IOException {
            return new Pager(this);
        }
    }

    /** What a running pager needs of its region: everything but the {@link MemoryRegion}, which may become unreachable. */
    private final class Service implements RegionOwner.Service {
        @Override
        public void fill(long offset, long length) throws IOException {
            Pager.this.fill("fetch", offset, length);
        }

        @Override
        public void regionCloses() {
            end(Close.DETACH);
        }

        @Override
        public String toString() {
            return Pager.this.toString();
        }
    }

    private Pager(Builder options) throws IOException {
        owner = options.owner;
        source = options.source;
        engine = FaultEngine.THREAD;
        onClose = options.onClose;
        owner.enter();
        boolean claimed = false;
        long openSource = 0;
        Uffd openUffd = null;
        try {
            owner.claim(new Service());
            claimed = true;
            refuseSourceOfOther();
            openSource = source.open(owner.length(), owner.pageSize());
            openUffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).userModeOnly(options.userModeOnly).create();
            long result = Native.pagerStart(openUffd.fd(), owner.address(), owner.length(), owner.pageSize(), openSource,
                    options.around);
            if (result < 0) {
                throw new UffdException("start", (int) -result, "a pager of the region " + text());
            }
            handle = result;
            uffd = openUffd;
            sourceHandle = openSource;
            OPEN.add(this);
            claimed = false;
            openUffd = null;
            openSource = 0;
        } finally {
            if (openUffd != null) {
                openUffd.close();
            }
            if (openSource != 0) {
                Native.sourceFree(openSource);
            }
            if (claimed) {
                owner.unclaim();
            }
            owner.exit();
        }
    }

    private void refuseSourceOfOther() {
        for (Pager each : OPEN) {
            if (each.source.reads(owner.address(), owner.length())) {
                throw new IllegalStateException("the region " + text() + " is the source of " + each);
            }
        }
    }

    /**
     * Describes a pager; {@link Builder#start} makes it.
     *
     * @param region what to fill
     * @param source where the pages come from
     * @return a builder
     */
    public static Builder of(MemoryRegion region, PageSource source) {
        Objects.requireNonNull(source, "source");
        RegionOwner owner = RegionOwner.at(region.address());
        if (owner == null || owner.isClosed()) {
            throw new IllegalStateException(region + " is closed");
        }
        return new Builder(owner, source);
    }

    /** {@return who resolves the faults} */
    public FaultEngine engine() {
        return engine;
    }

    /**
     * Fills the missing pages of a range before they are touched; returns when all are there.
     *
     * @param offset where the range begins, in bytes from the region's start
     * @param length in bytes
     * @throws UffdException EFAULT: the source cannot be read
     * @throws IOException if a page cannot be filled
     */
    public void prefetch(long offset, long length) throws IOException {
        Ranges.checkInside("prefetch", offset, length, owner.length());
        if (length > 0) {
            long page = owner.pageSize();
            long from = offset / page * page;
            fill("prefetch", from, (offset + length + page - 1) / page * page - from);
        }
    }

    private void fill(String operation, long offset, long length) throws IOException {
        enter();
        try {
            int failed = Native.pagerFill(handle, offset, length);
            if (failed < 0) {
                throw new UffdException(operation, -failed, "at offset " + offset + ", " + length + " bytes",
                        "a page cannot be filled from " + source);
            }
        } finally {
            uses.release();
        }
    }

    /** {@return what the pager has done so far; takes no lock that a faulting thread would wait for} */
    public PagerStats stats() {
        Scratch stats = new Scratch(Abi.STATS_LONGS);
        enter();
        try {
            Native.pagerStats(handle, stats.address());
        } finally {
            uses.release();
        }
        return new PagerStats(stats.get(Abi.STATS_FAULTS), stats.get(Abi.STATS_PAGES), stats.get(Abi.STATS_BYTES),
                stats.get(Abi.STATS_PRESENT), stats.get(Abi.STATS_RETRIED), stats.get(Abi.STATS_FAILED));
    }

    private void enter() {
        if (!uses.acquire()) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    /**
     * Stops paging, with the missing pages treated as {@link Builder#onClose} says; a second close does nothing. With
     * {@link Close#FILL} it takes as long as filling takes.
     *
     * @throws UffdException if the rest cannot be filled; the pager goes on then, and no page has become zeros
     */
    @Override
    public void close() throws UffdException {
        int failed = end(onClose);
        if (failed < 0) {
            throw new UffdException("close", -failed, "of the pager of the region " + text(),
                    "the missing pages cannot be filled from " + source + "; close the region to give them up");
        }
    }

    /** Ends once. While it fills, nobody may discard pages: one discarded behind its back would turn into zeros. */
    private int end(Close how) {
        if (!uses.close()) {
            return 0;
        }
        owner.pages().writeLock().lock();
        try {
            uses.awaitIdle(() -> { });
            int failed = how == Close.FILL ? Native.pagerFill(handle, 0, owner.length()) : Native.pagerDetach(handle);
            if (failed == 0 && how == Close.FILL) {
                failed = Native.pagerFinish(handle);
            }
            if (failed < 0) {
                uses.reopen();
                return failed;
            }
            Native.pagerFree(handle);
            Native.sourceFree(sourceHandle);
            uffd.close();
            OPEN.remove(this);
            owner.unclaim();
            return 0;
        } finally {
            owner.pages().writeLock().unlock();
        }
    }

    private String text() {
        return Ranges.text(owner.address(), owner.length());
    }

    @Override
    public String toString() {
        return "Pager[" + engine + ", region " + text() + ", from " + source + (uses.isClosed() ? ", closed" : "") + "]";
    }
}
