// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The options of the mount that a path is on, from {@code /proc/self/mountinfo} (proc_pid_mountinfo(5)). */
final class MountOptions {
    private static final int MOUNT_POINT = 4;
    private static final int OPTIONS = 5;
    private static final int OCTAL = 8;
    private static final Pattern ESCAPED = Pattern.compile("\\\\([0-7]{3})");

    private MountOptions() {}

    /** {@return the options, such as {@code noexec}; empty if they cannot be found out} */
    static List<String> of(Path path) {
        try {
            // Not every name is UTF-8, and one that is not must not hide the others.
            return of(path.toRealPath().toString(),
                    Files.readAllLines(Path.of("/proc/self/mountinfo"), StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            return List.of();
        }
    }

    /** The lines are bytes as characters. */
    static List<String> of(String path, List<String> mountinfo) {
        String best = "";
        List<String> options = List.of();
        for (String line : mountinfo) {
            String[] fields = line.split(" ");
            String point = unescape(fields[MOUNT_POINT]);
            // Later lines are mounted over earlier ones.
            if (contains(point, path) && point.length() >= best.length()) {
                best = point;
                options = List.of(fields[OPTIONS].split(","));
            }
        }
        return options;
    }

    /** Compares text: in the C locale a Path cannot be made of every name. */
    private static boolean contains(String point, String path) {
        return path.equals(point) || path.startsWith(point.endsWith("/") ? point : point + "/");
    }

    /** The kernel writes blanks, backslashes and number signs as octal numbers, fs/proc_namespace.c. */
    private static String unescape(String field) {
        String bytes = ESCAPED.matcher(field).replaceAll(found ->
                Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(found.group(1), OCTAL))));
        return new String(bytes.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }
}
