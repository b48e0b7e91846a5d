// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.RegionOwner;
import java.io.IOException;
import java.util.Objects;
import java.util.function.Consumer;

/** The options of a pager; {@link Pager#of} makes it. For one thread. */
public final class PagerBuilder {
    final RegionOwner owner;
    final PageSource source;
    FaultEngine engine = FaultEngine.AUTO;
    int threads = 1;
    long around;
    boolean userModeOnly = true;
    FailurePolicy failurePolicy = FailurePolicy.ABORT;
    Consumer<? super PageFailure> failureListener = failure -> { };
    Close onClose = Close.FILL;

    PagerBuilder(RegionOwner owner, PageSource source) {
        this.owner = owner;
        this.source = source;
    }

    /**
     * Who resolves the faults. {@link FaultEngine#AUTO} unless set.
     *
     * @param by the engine
     * @return this builder
     */
    public PagerBuilder engine(FaultEngine by) {
        engine = Objects.requireNonNull(by, "engine");
        return this;
    }

    /**
     * How many threads {@link FaultEngine#THREAD} has. One unless set; more help when many threads fault at once.
     *
     * @param count from 1 to 64
     * @return this builder
     */
    public PagerBuilder threads(int count) {
        if (count < 1 || count > 64) {
            throw new IllegalArgumentException("threads: " + count + " is not between 1 and 64");
        }
        threads = count;
        return this;
    }

    /**
     * How much is filled for one fault, aligned to itself: more makes sequential reading faster and a single access slower.
     * Unless set, it starts small and grows as long as a thread goes on where its last fault ended.
     *
     * @param bytes a power of two, at least a page of the region
     * @return this builder
     */
    public PagerBuilder faultAround(long bytes) {
        if (Long.bitCount(bytes) != 1 || bytes < owner.pageSize()) {
            throw new IllegalArgumentException("faultAround: " + bytes
                    + " bytes is not a power of two of at least a page, " + owner.pageSize() + " bytes");
        }
        around = bytes;
        return this;
    }

    /**
     * Whether only faults of user mode are resolved. True unless set; false needs a right, see {@link UffdBuilder#userModeOnly},
     * and the engine THREAD, and then system calls can touch missing pages too.
     *
     * @param enabled the new value
     * @return this builder
     */
    public PagerBuilder userModeOnly(boolean enabled) {
        userModeOnly = enabled;
        return this;
    }

    /**
     * What happens when a page is touched that cannot be filled. {@link FailurePolicy#ABORT} unless set.
     *
     * @param policy what to do
     * @return this builder
     */
    public PagerBuilder onFailure(FailurePolicy policy) {
        failurePolicy = Objects.requireNonNull(policy, "policy");
        return this;
    }

    /**
     * Like {@link #onFailure(FailurePolicy)} with {@link FailurePolicy#FILL}, and tells each failed page.
     *
     * @param listener called on a thread of this library, a moment after the page was touched, or by the thread that closes the
     *     pager or the region; what it throws is logged
     * @return this builder
     */
    public PagerBuilder onFailure(Consumer<? super PageFailure> listener) {
        failurePolicy = FailurePolicy.FILL;
        failureListener = Objects.requireNonNull(listener, "listener");
        return this;
    }

    /**
     * What becomes of missing pages when the pager is closed. {@link Close#FILL} unless set.
     *
     * @param how what to do
     * @return this builder
     */
    public PagerBuilder onClose(Close how) {
        onClose = Objects.requireNonNull(how, "how");
        return this;
    }

    /**
     * Empties the region (<b>what was written to it before is gone</b>), registers it and starts the engine. No other thread may use
     * the region's memory meanwhile: nobody can for a moment, and a thread that tries gets SIGSEGV.
     *
     * @return the running pager
     * @throws UffdException if the kernel refuses, or the SIGBUS handler needed for {@link FaultEngine#INLINE} is somebody else's
     * @throws IOException if the source cannot be opened
     * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
     */
    public Pager start() throws IOException {
        if (engine == FaultEngine.INLINE && !userModeOnly) {
            throw new IllegalArgumentException("engine INLINE resolves faults of user mode only: take THREAD, or userModeOnly(true)");
        }
        if (engine != FaultEngine.AUTO) {
            return begin(engine);
        }
        if (userModeOnly) {
            try {
                return begin(FaultEngine.INLINE);
            } catch (Pager.InlineUnavailableException e) {
                System.getLogger("io.github.userfaultfd").log(System.Logger.Level.INFO,
                        "engine THREAD instead of INLINE: " + e.getMessage());
            }
        }
        return begin(FaultEngine.THREAD);
    }

    private Pager begin(FaultEngine chosen) throws IOException {
        synchronized (owner.startLock()) {
            return new Pager(this, chosen);
        }
    }

    UffdBuilder descriptor(FaultEngine chosen) {
        UffdBuilder builder = new UffdBuilder().closeOnExec(true).nonBlocking(true).userModeOnly(userModeOnly);
        return chosen == FaultEngine.INLINE ? builder.requireFeatures(Feature.SIGBUS) : builder;
    }
}
