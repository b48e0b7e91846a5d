// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/** Mounts that only a child process sees: they are in a mount namespace that ends with it. */
public final class Mounts {
    private Mounts() {}

    /** Skips where there may be no namespaces, as in a container. */
    public static void needed() throws Exception {
        Needs.root();
        Needs.command("unshare");
        ChildJvm.Result tried = ChildJvm.run(Duration.ofSeconds(10), List.of("unshare", "-m", "true"));
        assumeTrue(tried.exit() == 0, () -> "no mount namespaces here: " + tried.output().strip());
    }

    /** What starts a command that finds an empty tmpfs with these options at a directory. */
    public static String[] tmpfs(String options, Path directory) {
        return changed("mount -t tmpfs -o \"$1\" none \"$2\" && shift 2", options, directory.toString());
    }

    /** What starts a command in a mount namespace of its own, which a script of the shell has changed. */
    public static String[] changed(String script, String... arguments) {
        return Stream.concat(Stream.of("unshare", "-m", "sh", "-c", script + " && exec \"$@\"", "sh"), Stream.of(arguments))
                .toArray(String[]::new);
    }
}
