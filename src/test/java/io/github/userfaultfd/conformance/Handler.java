// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Event;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A Java thread that hands the events of one or more descriptors to the test's own code. The faults it handles are raised by
 * threads and children of {@link Steps}, never by Java code.
 */
final class Handler implements AutoCloseable {
    private static final Duration A_MOMENT = Duration.ofMillis(2);

    /** What the test does with an event. */
    interface Action {
        void handle(CoveredUffd from, Event event) throws IOException;
    }

    private final List<CoveredUffd> served = new CopyOnWriteArrayList<>();
    private final Queue<Event> seen = new ConcurrentLinkedQueue<>();
    private final Action action;
    private final Thread thread;
    private volatile boolean stopped;
    private volatile Throwable failure;

    Handler(CoveredUffd uffd, Action action) {
        this.action = action;
        served.add(uffd);
        thread = new Thread(this::loop, "handler");
        thread.setDaemon(true);
        thread.start();
    }

    /** Serves one more descriptor, such as a child's. It is closed with the handler. */
    CoveredUffd serve(CoveredUffd more) {
        served.add(more);
        return more;
    }

    private void loop() {
        try {
            while (!stopped) {
                for (CoveredUffd each : served) {
                    if (each.poll(A_MOMENT)) {
                        for (Event event : each.events()) {
                            seen.add(event);
                            action.handle(each, event);
                        }
                    }
                }
            }
        } catch (IOException | RuntimeException | AssertionError e) {
            failure = e;
        }
    }

    /** All events so far. */
    List<Event> seen() {
        return List.copyOf(seen);
    }

    /** The events of one kind so far. */
    <T extends Event> List<T> seen(Class<T> type) {
        return seen.stream().filter(type::isInstance).map(type::cast).toList();
    }

    /** Stops, and throws what went wrong in the handler. */
    @Override
    public void close() {
        stopped = true;
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new AssertionError("interrupted while the handler stops", e);
        }
        for (CoveredUffd each : served.subList(1, served.size())) {
            each.close();
        }
        if (failure != null) {
            throw new AssertionError("the handler failed", failure);
        }
    }
}
