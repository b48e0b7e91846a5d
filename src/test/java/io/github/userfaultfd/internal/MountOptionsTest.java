// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MountOptionsTest {
    /** Not in the order of the paths: the kernel does not keep one. */
    private static final List<String> MOUNTINFO = List.of(
            "22 27 0:21 / /proc rw,nosuid - proc proc rw",
            "30 27 0:30 / /tmp rw,noexec - tmpfs none rw",
            "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
            "31 30 0:31 / /tmp/exec rw - tmpfs none rw",
            "32 27 0:32 / /over rw - tmpfs none rw",
            "33 32 0:33 / /over ro,noexec - tmpfs none rw",
            "34 27 0:34 / /a\\040b\\011c\\134d\\043e\\044 ro - tmpfs none rw",
            "35 27 0:35 / /" + new String("\u00fc".getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1)
                    + " nodev - tmpfs none rw",
            "36 27 0:36 / /\u00fc-that-is-no-UTF-8 nosuid - tmpfs none rw");

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "/proc/self        | rw,nosuid",
        "/tmp              | rw,noexec",
        "/tmp/deep/file    | rw,noexec",
        "/tmpfile          | rw,relatime",
        "/tmp/exec/file    | rw",
        "/tmp/executor     | rw,noexec",
        "/over/file        | ro,noexec",
        "/\u00fc/file      | nodev",
        "/                 | rw,relatime",
    })
    void theDeepestAndLastMountCounts(String path, String options) {
        assertEquals(List.of(options.split(",")), MountOptions.of(path, MOUNTINFO));
    }

    @Test
    void escapedCharactersAreDecoded() {
        assertEquals(List.of("ro"), MountOptions.of("/a b\tc\\d#e$/file", MOUNTINFO));
    }

    @Test
    void thisSystemAnswers() {
        List<String> options = MountOptions.of(Path.of("/proc/self"));
        assertTrue(options.contains("rw"), options::toString);
        assertEquals(List.of(), MountOptions.of(Path.of("/this/does/not/exist")));
    }
}
