// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

/** The windows of a snapshotter or a tracker, which is their monitor: its owner calls {@link #open} and {@link #isAnyOpen}. */
final class WriteWindows {
    private final Object monitor;
    private int open;

    WriteWindows(Object monitor) {
        this.monitor = monitor;
    }

    /** One more, and what to do under the monitor when it is closed. */
    WriteWindow open(Runnable atEnd) {
        open++;
        return new Window(atEnd);
    }

    boolean isAnyOpen() {
        return open > 0;
    }

    private final class Window implements WriteWindow {
        private final Runnable atEnd;
        private boolean closed;

        Window(Runnable atEnd) {
            this.atEnd = atEnd;
        }

        @Override
        public void close() {
            synchronized (monitor) {
                if (!closed) {
                    closed = true;
                    open--;
                    atEnd.run();
                    monitor.notifyAll();
                }
            }
        }
    }
}
