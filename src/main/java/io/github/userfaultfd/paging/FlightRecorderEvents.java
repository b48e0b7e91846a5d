// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.FlightRecorderListener;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;
import org.jspecify.annotations.Nullable;

/** The only class that refers to jdk.jfr; used through {@link PagerEvents}. */
final class FlightRecorderEvents {
    private static final Object LOCK = new Object();
    private static int open;
    private static @Nullable Registration registration;

    private FlightRecorderEvents() {}

    /**
     * The recorder keeps this library's class loader alive for as long as it knows one of its objects: from the first open pager
     * to the last. The first event class that is loaded starts the recorder, which takes 0.2 s: only where somebody records.
     */
    private static final class Registration implements FlightRecorderListener, Runnable {
        private boolean over;
        private boolean periodic;

        /** Called with a lock of the recorder. */
        @Override
        public synchronized void recorderInitialized(FlightRecorder recorder) {
            if (!over) {
                FlightRecorder.addPeriodicEvent(Statistics.class, this);
                periodic = true;
            }
        }

        /** The periodic event. The recorder refuses a Runnable it has, and a lambda that captures nothing is one for all. */
        @Override
        public void run() {
            Pager.open().forEach(each ->
                    each.statsIfOpen().ifPresent(stats -> fill(new Statistics(), each, stats).commit()));
        }

        void end() {
            // Takes the recorder's lock, so without the own.
            FlightRecorder.removeListener(this);
            synchronized (this) {
                over = true;
                if (periodic) {
                    FlightRecorder.removePeriodicEvent(this);
                }
            }
        }
    }

    /** What every event says. */
    @Category("userfaultfd")
    @StackTrace(false)
    abstract static class PagerEvent extends Event {
        @Label("Region")
        @Nullable String region;

        @Label("Source")
        @Nullable String source;

        @Label("Engine")
        @Nullable String engine;
    }

    @Name("io.github.userfaultfd.PagerStarted")
    @Label("Pager Started")
    static final class Started extends PagerEvent {}

    /** The counters of {@link PagerStats}. */
    abstract static class CountersEvent extends PagerEvent {
        @Label("Faults")
        long faults;

        @Label("Bytes Filled")
        @DataAmount
        long bytes;

        @Label("Already Present")
        long alreadyPresent;

        @Label("Retried")
        long retried;

        @Label("Failed")
        long failed;

        @Label("Time Spent on Faults")
        @Timespan(Timespan.NANOSECONDS)
        long faultTime;
    }

    @Name("io.github.userfaultfd.PagerClosed")
    @Label("Pager Closed")
    static final class Closed extends CountersEvent {}

    @Name("io.github.userfaultfd.PagerStatistics")
    @Label("Pager Statistics")
    @Description("The counters of an open pager since its start")
    @Period("1 s")
    static final class Statistics extends CountersEvent {}

    @Name("io.github.userfaultfd.PageFailed")
    @Label("Page Failed")
    static final class Failed extends PagerEvent {
        @Label("Offset")
        long offset;

        @Label("errno")
        int errno;
    }

    static void started(Pager pager) {
        Registration first = null;
        synchronized (LOCK) {
            open++;
            if (open == 1) {
                first = new Registration();
                registration = first;
            }
        }
        if (first != null) {
            FlightRecorder.addListener(first);
        }
        if (FlightRecorder.isInitialized()) {
            name(new Started(), pager).commit();
        }
    }

    static void closed(Pager pager, PagerStats stats) {
        try {
            if (FlightRecorder.isInitialized()) {
                fill(new Closed(), pager, stats).commit();
            }
        } finally {
            Registration last = null;
            synchronized (LOCK) {
                open--;
                if (open == 0) {
                    last = registration;
                    registration = null;
                }
            }
            if (last != null) {
                last.end();
            }
        }
    }

    static void failed(Pager pager, PageFailure failure) {
        if (FlightRecorder.isInitialized()) {
            Failed event = name(new Failed(), pager);
            event.offset = failure.offset();
            event.errno = failure.errno();
            event.commit();
        }
    }

    private static <T extends CountersEvent> T fill(T event, Pager pager, PagerStats stats) {
        event.faults = stats.faults();
        event.bytes = stats.bytes();
        event.alreadyPresent = stats.alreadyPresent();
        event.retried = stats.retried();
        event.failed = stats.failed();
        event.faultTime = stats.faultNanos();
        return name(event, pager);
    }

    private static <T extends PagerEvent> T name(T event, Pager pager) {
        event.region = pager.text();
        event.source = pager.source();
        event.engine = pager.engine().toString();
        return event;
    }
}
