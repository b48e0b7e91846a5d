// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;

/** What this process has open and mapped, to see that nothing is leaked. */
public final class ProcessState {
    private ProcessState() {}

    public static int descriptors() {
        return new File("/proc/self/fd").list().length;
    }

    /** Looks again for a while: other threads of the JVM open and close files of their own. A leak stays. */
    public static void assertDescriptors(int expected) {
        int now = descriptors();
        for (int i = 0; i < 200 && now != expected; i++) {
            LockSupport.parkNanos(10_000_000);
            now = descriptors();
        }
        assertEquals(expected, now, "open descriptors");
    }

    public static int mappings() {
        try {
            return Files.readAllLines(Path.of("/proc/self/maps")).size();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static long userfaultfds() {
        int count = 0;
        for (File each : new File("/proc/self/fd").listFiles()) {
            try {
                if (Files.readSymbolicLink(each.toPath()).toString().equals("anon_inode:[userfaultfd]")) {
                    count++;
                }
            } catch (IOException e) {
                continue; // closed since it was listed
            }
        }
        return count;
    }
}
