// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.memory.MemoryRegion;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.Optional;

/**
 * The handler loop that a user of the low-level interface writes, on a Java thread. Only threads in native code may touch its
 * region while it runs: a fault of Java code would hang this JVM sooner or later.
 */
final class JavaHandler implements AutoCloseable {
    private static final Duration LONG = Duration.ofSeconds(1);

    private final Uffd uffd;
    private final long start;
    private final long source;
    private final long page;
    private final long window;
    private final Thread thread;

    /**
     * Registers the region and starts the thread.
     *
     * @param source the address to copy from, or 0: the pages are in the page cache and are only mapped
     * @param window bytes for one fault
     * @param polls whether it polls and reads many events at once, or waits for each
     */
    JavaHandler(MemoryRegion region, long source, long window, boolean polls) throws IOException {
        this.start = region.address();
        this.source = source;
        this.page = region.pageSize();
        this.window = window;
        UffdBuilder builder = new UffdBuilder().closeOnExec(true).nonBlocking(polls);
        uffd = (source == 0 ? builder.requireFeatures(Feature.MINOR_SHMEM) : builder).create();
        uffd.register(start, region.size(), source == 0 ? RegisterMode.MINOR : RegisterMode.MISSING);
        thread = new Thread(polls ? this::poll : this::block, "handler");
        thread.setDaemon(true);
        thread.start();
    }

    @SuppressWarnings("deprecation") // getId: threadId is of JDK 19
    long threadId() {
        return thread.getId();
    }

    private void poll() {
        try (EventBuffer events = EventBuffer.allocate(64)) {
            for (;;) {
                if (!uffd.poll(LONG)) {
                    continue;
                }
                int count = uffd.readEvents(events);
                for (int i = 0; i < count; i++) {
                    resolve(events.faultAddress(i));
                }
            }
        } catch (ClosedChannelException e) {
            // close() ends the loop.
        } catch (IOException e) {
            fail(e);
        }
    }

    private void block() {
        try {
            for (;;) {
                Optional<Event> event = uffd.readEvent();
                if (event.isPresent() && event.get() instanceof Event.PageFault fault) {
                    resolve(fault.address());
                }
            }
        } catch (ClosedChannelException e) {
            // close() ends the loop.
        } catch (IOException e) {
            fail(e);
        }
    }

    /** Whoever waits for a page would wait for ever. */
    private static void fail(IOException e) {
        e.printStackTrace();
        Runtime.getRuntime().halt(1);
    }

    private void resolve(long address) throws IOException {
        long offset = address - start & -window;
        long done = source == 0 ? uffd.tryContinueRange(start + offset, window)
                : uffd.tryCopy(start + offset, source + offset, window);
        if (done < 0) {
            uffd.wake(address & -page, page);
        }
    }

    /** Lets the thread end. What is still missing reads as zeros from now on. */
    @Override
    public void close() {
        uffd.close();
    }
}
