// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.Native;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/** A thread that calls the loader. It ends with the service, or when it was found stuck and another one took its place. */
final class PageWorker implements Runnable {
    private final ServedProcess process;
    private final PageFiller filler;
    private final PageLoader loader;
    private ByteBuffer buffer = ByteBuffer.allocateDirect(0);
    private long bufferAt;

    PageWorker(ServedProcess process, PageFiller filler) {
        this.process = process;
        this.filler = filler;
        loader = process.options.loader;
    }

    @Override
    public void run() {
        try {
            work();
        } catch (Error | RuntimeException e) {
            // Out of memory, for example: a fault must not stay unanswered.
            process.broken(e);
        }
    }

    private void work() {
        for (LoadTask task = next(); task != null; task = next()) {
            task.starts();
            Throwable failure = load(task);
            // An interrupt was for this load only.
            Thread.interrupted();
            if (!task.settle()) {
                return;
            }
            if (failure == null) {
                filler.place(task, bufferAt);
            } else {
                filler.fail(task, 0, failure);
            }
        }
    }

    private @Nullable LoadTask next() {
        return process.queue.take(loader.runBytes());
    }

    /**
     * What a loader throws is its page's failure, whatever it is: an Error too must not end the thread and leave a fault
     * unanswered.
     */
    private @Nullable Throwable load(LoadTask task) {
        long start = System.nanoTime();
        int length = (int) task.length();
        try {
            if (buffer.capacity() < length) {
                buffer = ByteBuffer.allocateDirect(length);
                bufferAt = Native.directAddress(buffer);
            }
            ByteBuffer page = buffer.slice(0, length).order(ByteOrder.nativeOrder());
            loader.load(task.offset(), page);
            if (page.position() != length) {
                return new IOException("the loader gave " + page.position() + " bytes of " + length);
            }
            return null;
        } catch (Throwable e) {
            if (process.isOver()) {
                ServedProcess.LOG.log(Level.DEBUG, "a load for " + process.name() + " ended with it", e);
            }
            return e;
        } finally {
            process.counters.loads.increment();
            process.counters.loadNanos.add(System.nanoTime() - start);
        }
    }
}
