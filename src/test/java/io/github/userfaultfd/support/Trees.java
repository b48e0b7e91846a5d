// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Copies of what was built, for child JVMs that shall see only a part of it or that run as another user. */
public final class Trees {
    private Trees() {}

    /** Copies a file or a directory with the parts of it that are wanted; everybody can read the copy. */
    public static Path copy(Path from, Path to, Predicate<Path> wanted) throws IOException {
        List<Path> all;
        try (Stream<Path> walk = Files.walk(from)) {
            all = walk.filter(wanted).toList();
        }
        for (Path each : all) {
            Path copy = to.resolve(from.relativize(each).toString());
            if (Files.isDirectory(each)) {
                openToAll(Files.createDirectories(copy));
            } else {
                Files.copy(each, copy);
                Files.setPosixFilePermissions(copy, PosixFilePermissions.fromString("rw-r--r--"));
            }
        }
        return to;
    }

    /** Lets everybody read and enter a directory, whatever the umask is. */
    public static Path openToAll(Path directory) throws IOException {
        return Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** The names in a directory, sorted. */
    public static List<String> names(Path directory) throws IOException {
        try (Stream<Path> list = Files.list(directory)) {
            return list.map(each -> each.getFileName().toString()).sorted().toList();
        }
    }
}
