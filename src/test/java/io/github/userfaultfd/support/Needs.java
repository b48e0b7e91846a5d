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

    private static final Set<Feature> WRITE_PROTECTION = Set.of(Feature.PAGEFAULT_FLAG_WP, Feature.WP_HUGETLBFS_SHMEM,
            Feature.WP_UNPOPULATED, Feature.WP_ASYNC);

    private static final SystemSupport SYSTEM = SystemSupport.probe();

    private Needs() {}

    public static SystemSupport system() {
        return SYSTEM;
    }

    /** What the kernel says it has, without write protection where that is a lie. */
    public static Set<Feature> workingFeatures() {
        Set<Feature> working = EnumSet.noneOf(Feature.class);
        working.addAll(SYSTEM.features());
        if (!SYSTEM.writeProtects()) {
            working.removeAll(WRITE_PROTECTION);
        }
        return working;
    }

    public static void features(Feature... features) {
        features(Arrays.asList(features));
    }

    public static void features(Collection<Feature> features) {
        Set<Feature> missing = EnumSet.noneOf(Feature.class);
        missing.addAll(features);
        missing.removeAll(workingFeatures());
        Set<Feature> untrue = EnumSet.copyOf(missing);
        untrue.retainAll(SYSTEM.features());
        assumeTrue(untrue.isEmpty(), "Linux " + SYSTEM.kernel() + " says it has " + untrue + " and protects nothing");
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

    public static boolean isRoot() {
        return "root".equals(System.getProperty("user.name"));
    }

    public static void addressesOf64Bits() {
        assumeTrue(!"32".equals(System.getProperty("sun.arch.data.model")), "this JVM has addresses of 32 bits");
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
