// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.SystemSupport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** What a test needs of the system; it is skipped, with the reason printed, where that is missing. */
public final class Needs {
    static final int FOREIGN_MEMORY_API = 22;

    private static final SystemSupport SYSTEM = SystemSupport.probe();

    private Needs() {}

    public static SystemSupport system() {
        return SYSTEM;
    }

    public static void features(Feature... features) {
        Set<Feature> missing = EnumSet.noneOf(Feature.class);
        missing.addAll(Arrays.asList(features));
        missing.removeAll(SYSTEM.features());
        assumeTrue(missing.isEmpty(), "Linux " + SYSTEM.kernel() + " lacks " + missing);
    }

    public static boolean isRoot() {
        return "root".equals(System.getProperty("user.name"));
    }

    public static void root() {
        assumeTrue(isRoot(), "not root");
    }

    public static void command(String name) {
        assumeTrue(Stream.of(System.getenv("PATH").split(":")).anyMatch(each -> Files.isExecutable(Path.of(each, name))),
                "no command " + name);
    }

    /** A JDK of 22 or newer, for what only those have: the one that runs the tests, or one beside it. */
    public static Path newerJava() {
        if (Runtime.version().feature() >= FOREIGN_MEMORY_API) {
            return ChildJvm.java();
        }
        Optional<Path> found = Optional.empty();
        Path all = Path.of("/usr/lib/jvm");
        if (Files.isDirectory(all)) {
            try (Stream<Path> installed = Files.list(all)) {
                found = installed.filter(each -> each.getFileName().toString().matches(".*\\b(2[2-9]|3\\d)\\b.*"))
                        .map(each -> each.resolve("bin/java")).filter(Files::isExecutable).sorted().reduce((a, b) -> b);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        assumeTrue(found.isPresent(), "no JDK 22 or newer in /usr/lib/jvm");
        return found.orElseThrow();
    }
}
