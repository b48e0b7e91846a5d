// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

/** Events of JDK Flight Recorder, where the JVM has it: a JVM linked without the module jdk.jfr works too. */
final class PagerEvents {
    private static final boolean AVAILABLE = ModuleLayer.boot().findModule("jdk.jfr").isPresent();

    private PagerEvents() {}

    static void started(Pager pager) {
        if (AVAILABLE) {
            FlightRecorderEvents.started(pager);
        }
    }

    static void closed(Pager pager, PagerStats stats) {
        if (AVAILABLE) {
            FlightRecorderEvents.closed(pager, stats);
        }
    }

    static void failed(Pager pager, PageFailure failure) {
        if (AVAILABLE) {
            FlightRecorderEvents.failed(pager, failure);
        }
    }
}
