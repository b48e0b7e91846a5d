// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;

/** Threads that do not keep the JVM running. */
final class Daemons {
    private Daemons() {}

    /**
     * Starts a thread.
     *
     * @throws IOException if there can be no more threads: nothing that a service has to end for, or the JVM
     */
    static void start(Thread thread) throws IOException {
        thread.setDaemon(true);
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            throw new IOException("no thread '" + thread.getName() + "': a limit on threads (ulimit -u, pids of the container),"
                    + " or no memory for its stack", e);
        }
    }
}
