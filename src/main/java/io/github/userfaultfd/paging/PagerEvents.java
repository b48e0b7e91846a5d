// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import java.lang.System.Logger.Level;

/** Events of JDK Flight Recorder, where the JVM has it: a JVM linked without the module jdk.jfr works too. */
final class PagerEvents {
    private static final System.Logger LOG = System.getLogger("io.github.userfaultfd");
    private static final boolean AVAILABLE = ModuleLayer.boot().findModule("jdk.jfr").isPresent();

    private PagerEvents() {}

    static void started(Pager pager) {
        tell(() -> FlightRecorderEvents.started(pager));
    }

    static void closed(Pager pager, PagerStats stats) {
        tell(() -> FlightRecorderEvents.closed(pager, stats));
    }

    static void failed(Pager pager, PageFailure failure) {
        tell(() -> FlightRecorderEvents.failed(pager, failure));
    }

    /** Whatever becomes of the recorder, the pager goes on. */
    private static void tell(Runnable event) {
        if (AVAILABLE) {
            try {
                event.run();
            } catch (RuntimeException | Error e) {
                LOG.log(Level.WARNING, "the flight recorder was not told of a pager", e);
            }
        }
    }
}
