// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What this process has open and mapped, to see that nothing is leaked. */
public final class ProcessState {
    private ProcessState() {}

    public static int descriptors() {
        return new File("/proc/self/fd").list().length;
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
