// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A line that tells how far long work is: on a terminal only, on standard error, so that output can be piped. */
final class Progress {
    private static final long EVERY_NANOS = 100_000_000;
    private static final int PERCENT = 100;

    private final boolean shown = isTerminal();
    private long next = System.nanoTime();
    private boolean dirty;

    void at(String what, long done, long all) {
        if (shown && (System.nanoTime() >= next || done == all)) {
            next = System.nanoTime() + EVERY_NANOS;
            dirty = true;
            System.err.printf("\r%s: %d %%\033[K", what, all == 0 ? PERCENT : done * PERCENT / all);
            System.err.flush();
        }
    }

    void clear() {
        if (dirty) {
            dirty = false;
            System.err.print("\r\033[K");
            System.err.flush();
        }
    }

    private static boolean isTerminal() {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty") || target.equals("/dev/console");
        } catch (IOException e) {
            return false;
        }
    }
}
