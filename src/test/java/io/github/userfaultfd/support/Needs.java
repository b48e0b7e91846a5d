// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.internal.ProcFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** What a test needs of the system; it is skipped, with the reason printed, where that is missing. */
public final class Needs {
    static final int FOREIGN_MEMORY_API = 22;
    private static final int CAP_SYS_PTRACE = 19;

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

    /** Whether this process may see forks (CAP_SYS_PTRACE). */
    public static boolean mayFollowForks() {
        return (ProcFiles.statusHex("CapEff") >>> CAP_SYS_PTRACE & 1) != 0;
    }

    /** Skips what needs a right that this process does not have: following forks, and faults of system calls. */
    public static void rightsFor(Collection<Feature> features, boolean userModeOnly) {
        assumeTrue(mayFollowForks() || !features.contains(Feature.EVENT_FORK), "EVENT_FORK needs CAP_SYS_PTRACE");
        assumeTrue(userModeOnly || SYSTEM.attempts().stream().anyMatch(each -> !each.userModeOnly() && each.opened()),
                "a userfaultfd that is not user-mode-only needs a right");
    }

    /** Faults of the kernel are refused only from Linux 5.11 on; before, a handler thread serves them whatever was asked for. */
    public static void userModeOnly() {
        String[] numbers = SYSTEM.kernel().split("\\D");
        int major = Integer.parseInt(numbers[0]);
        assumeTrue(major > 5 || major == 5 && Integer.parseInt(numbers[1]) >= 11,
                "Linux " + SYSTEM.kernel() + " cannot leave out faults of the kernel (5.11)");
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
