// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The options of the mount that a path is on, from {@code /proc/self/mountinfo} (proc_pid_mountinfo(5)). */
final class MountOptions {
    private static final int MOUNT_POINT = 4;
    private static final int OPTIONS = 5;

    private MountOptions() {}

    /** {@return the options, such as {@code noexec}; empty if they cannot be found out} */
    static List<String> of(Path path) {
        try {
            Path real = path.toRealPath();
            String best = "";
            List<String> options = List.of();
            for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
                String[] fields = line.split(" ");
                String point = fields[MOUNT_POINT].replace("\\040", " ");
                // Later lines are mounted over earlier ones.
                if (real.startsWith(point) && point.length() >= best.length()) {
                    best = point;
                    options = List.of(fields[OPTIONS].split(","));
                }
            }
            return options;
        } catch (IOException e) {
            return List.of();
        }
    }
}
