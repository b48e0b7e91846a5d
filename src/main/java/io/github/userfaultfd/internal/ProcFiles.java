// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Small facts from {@code /proc} and {@code /sys}. A file that cannot be read is no error: it answers nothing. */
public final class ProcFiles {
    private static final int HEX = 16;

    private ProcFiles() {}

    /** Any bytes are text in this charset: the kernel cuts a thread's name inside of a character. */
    private static List<String> lines(String path) throws IOException {
        return Files.readAllLines(Path.of(path), StandardCharsets.ISO_8859_1);
    }

    /** {@return whether the kernel's settings can be looked at} A systemd service with ProcSubset=pid, for one, cannot. */
    public static boolean hasSettings() {
        return Files.isDirectory(Path.of("/proc/sys/vm"));
    }

    /** {@return the first line of a file} */
    public static Optional<String> line(String path) {
        try {
            return lines(path).stream().findFirst().map(String::strip);
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** {@return what stands behind {@code key:} in a file of such lines} */
    public static Optional<String> field(String path, String key) {
        try {
            return lines(path).stream()
                    .filter(each -> each.startsWith(key + ":"))
                    .map(each -> each.substring(key.length() + 1).strip())
                    .findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** {@return a hexadecimal field of the calling thread's status, 0 if there is none} Rights and filters are a thread's own. */
    public static long statusHex(String key) {
        return field("/proc/thread-self/status", key).map(each -> Long.parseUnsignedLong(each, HEX)).orElse(0L);
    }
}
