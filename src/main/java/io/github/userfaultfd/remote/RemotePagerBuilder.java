// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.Ranges;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The options of a {@link RemotePager}; {@link RemotePager#of} makes it. For one thread. */
public final class RemotePagerBuilder {
    private static final int MOST_WORKERS = 1024;

    final PageLoader loader;
    int workers = 4;
    long around;
    LoadFailurePolicy failurePolicy = LoadFailurePolicy.END;
    Consumer<? super LoadFailure> failureListener = failure -> { };
    long loadTimeout = SocketDescriptor.nanos(Duration.ofSeconds(30));
    long retryTimeout = SocketDescriptor.nanos(Duration.ofSeconds(10));

    /** What to do when the service cannot go on; null: the failure policy for each page that may be missing. */
    @Nullable Consumer<Throwable> whenBroken;

    RemotePagerBuilder(PageLoader loader) {
        this.loader = Objects.requireNonNull(loader, "loader");
    }

    /**
     * How many threads load for one process at once. 4 unless set.
     *
     * @param count at least 1. With more than one, a prefetch leaves one to the faults
     * @return this builder
     */
    public RemotePagerBuilder workers(int count) {
        if (count < 1 || count > MOST_WORKERS) {
            throw new IllegalArgumentException("workers: " + count + " is not between 1 and " + MOST_WORKERS);
        }
        workers = count;
        return this;
    }

    /**
     * How much is loaded for one fault, aligned to itself, as far as it was not loaded before and the loader's
     * {@link PageLoader#runBytes} allow. One page unless set.
     *
     * @param bytes a power of two
     * @return this builder
     */
    public RemotePagerBuilder faultAround(long bytes) {
        if (Long.bitCount(bytes) != 1 || bytes < Ranges.PAGE) {
            throw new IllegalArgumentException("faultAround: " + bytes + " bytes is not a power of two of at least a page");
        }
        around = bytes;
        return this;
    }

    /**
     * What a process gets for a page that cannot be loaded. {@link LoadFailurePolicy#END} unless set.
     *
     * @param policy what to do
     * @return this builder
     */
    public RemotePagerBuilder onFailure(LoadFailurePolicy policy) {
        failurePolicy = Objects.requireNonNull(policy, "policy");
        return this;
    }

    /**
     * Tells each failed load, under any policy.
     *
     * @param listener called on the thread that found it; what it throws is logged
     * @return this builder
     */
    public RemotePagerBuilder failureListener(Consumer<? super LoadFailure> listener) {
        failureListener = Objects.requireNonNull(listener, "listener");
        return this;
    }

    /**
     * How long one call of the loader may take before its pages have failed. 30 seconds unless set.
     *
     * @param timeout more than nothing
     * @return this builder
     */
    public RemotePagerBuilder loadTimeout(Duration timeout) {
        loadTimeout = SocketDescriptor.nanos(timeout);
        return this;
    }

    /**
     * How long a page is tried again that the kernel refuses with EAGAIN, which it does while the process changes its mappings.
     * 10 seconds unless set; then the page has failed.
     *
     * @param timeout more than nothing
     * @return this builder
     */
    public RemotePagerBuilder retryTimeout(Duration timeout) {
        retryTimeout = SocketDescriptor.nanos(timeout);
        return this;
    }

    RemotePagerBuilder whenBroken(Consumer<Throwable> action) {
        whenBroken = action;
        return this;
    }

    /** {@return a pager that serves nobody yet} */
    public RemotePager start() {
        return new RemotePager(this);
    }
}
