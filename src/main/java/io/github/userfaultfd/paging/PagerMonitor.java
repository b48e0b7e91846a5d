// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import java.lang.System.Logger.Level;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Tells what faulting threads cannot: failed pages, to their listeners and the log, and a SIGBUS handler that was replaced. One
 * daemon thread looks at all open pagers from time to time and ends with the last of them.
 */
final class PagerMonitor implements Runnable {
    private static final System.Logger LOG = System.getLogger("io.github.userfaultfd");
    private static final long EVERY_MILLIS = 50;

    private static @Nullable Thread running;

    private boolean toldHandler;

    private PagerMonitor() {}

    /** Called after a pager was opened. */
    static synchronized void watch() {
        if (running == null) {
            Thread thread = new Thread(new PagerMonitor(), "userfaultfd-monitor");
            thread.setDaemon(true);
            try {
                thread.start();
                running = thread;
            } catch (OutOfMemoryError e) {
                // The pager works without; the next one tries again.
                LOG.log(Level.ERROR, "no thread that tells of failed pages and of a lost SIGBUS handler", e);
            }
        }
    }

    private static synchronized boolean ends() {
        if (Pager.open().isEmpty()) {
            running = null;
        }
        return running == null;
    }

    @Override
    public void run() {
        while (!ends()) {
            for (Pager each : Pager.open()) {
                try {
                    look(each);
                } catch (RuntimeException | Error e) {
                    // Such as no memory: the other pagers rely on this thread.
                    LOG.log(Level.ERROR, "looking at " + each + " failed", e);
                }
            }
            try {
                Thread.sleep(EVERY_MILLIS);
            } catch (InterruptedException e) {
                // Nobody has a reason to: the thread is not handed out. It goes on, because pagers rely on it.
                LOG.log(Level.DEBUG, "interrupted", e);
            }
        }
    }

    private void look(Pager pager) {
        pager.tellFailures();
        if (pager.engine() == FaultEngine.INLINE && pager.hasLostHandler() != toldHandler) {
            toldHandler = !toldHandler;
            LOG.log(toldHandler ? Level.ERROR : Level.INFO, toldHandler
                    ? "other code has replaced the SIGBUS handler of this library; the next fault of a region with engine INLINE"
                            + " will not be resolved: " + pager
                    : "the SIGBUS handler is this library's again");
        }
    }

    /** One line in the log however many there are; events and the listener have each. */
    static void tell(Pager pager, List<PageFailure> failures) {
        LOG.log(Level.ERROR, pager + ": " + failures.get(0)
                + (failures.size() > 1 ? " and " + (failures.size() - 1) + " more pages" : ""));
        for (PageFailure each : failures) {
            PagerEvents.failed(pager, each);
            try {
                pager.failureListener().accept(each);
            } catch (RuntimeException | Error e) {
                LOG.log(Level.ERROR, "the failure listener of " + pager + " failed", e);
            }
        }
    }
}
