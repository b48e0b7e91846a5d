// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.support.Soon;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** What this process has open and mapped, to see that nothing is leaked. */
public final class ProcessState {
    private ProcessState() {}

    /** How many are open, without those of the JVM's own: jars, what tells of its container, where it has random numbers from. */
    public static int descriptors() {
        return (int) counted().count();
    }

    /** Nor the one file that all closed regions of a process share. */
    private static Stream<String> counted() {
        return links().filter(each -> !each.matches("/memfd:userfaultfd-retired.*|/sys/.*|/proc/(?!.*pagemap).*|/dev/u?random|.*\\.(jar|class)"));
    }

    private static Stream<String> links() {
        List<String> found = new ArrayList<>();
        for (File each : new File("/proc/self/fd").listFiles()) {
            try {
                found.add(Files.readSymbolicLink(each.toPath()).toString());
            } catch (IOException e) {
                continue; // closed since it was listed
            }
        }
        return found.stream();
    }

    /** Looks again for a while: what others of this JVM have is closed a moment later. A leak stays. */
    public static void assertDescriptors(int expected) {
        Soon.assertTrue(() -> descriptors() == expected, () -> "expected " + expected + " descriptors, found " + counted().toList());
    }

    public static int mappings() {
        try {
            return Files.readAllLines(Path.of("/proc/self/maps")).size();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static long userfaultfds() {
        return links().filter("anon_inode:[userfaultfd]"::equals).count();
    }
}
