// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.internal.ProcFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Child JVMs of a user without any right, with copies of the classes: that user may not be able to enter the project. */
public final class OrdinaryUser {
    private static final String[] SETPRIV = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};

    /** They would leave a directory of that user in /tmp. */
    private static final String NO_PERFORMANCE_DATA = "-XX:-UsePerfData";
    private static final Path DEVICE = Path.of("/dev/userfaultfd");
    private static final String SETTING = "/proc/sys/vm/unprivileged_userfaultfd";

    private final Path directory;

    /** Copies into an empty directory. */
    public OrdinaryUser(Path directory) throws Exception {
        Needs.root();
        Needs.command("setpriv");
        this.directory = Trees.openToAll(directory);
        Trees.copy(ChildJvm.classes(), directory.resolve("classes"), each -> true);
        Trees.copy(ChildJvm.testClasses(), directory.resolve("test-classes"), each -> true);
        Trees.copy(ChildJvm.root().resolve("target/lib"), directory.resolve("lib"), each -> true);
        Files.setPosixFilePermissions(Files.createDirectory(tmpdir()), PosixFilePermissions.fromString("rwxrwxrwx"));
        List<String> version = new ArrayList<>(List.of(SETPRIV));
        version.addAll(List.of(ChildJvm.java().toString(), NO_PERFORMANCE_DATA, "-version"));
        ChildJvm.Result tried = ChildJvm.run(Duration.ofSeconds(30), version);
        assumeTrue(tried.exit() == 0, () -> "an ordinary user cannot start this JVM: " + tried.output().strip());
    }

    /** Skips where the system lets everybody handle all faults. */
    public static void needsClosedSetting() {
        String value = ProcFiles.line(SETTING).orElse("missing");
        assumeTrue(value.equals("0"), SETTING + " is " + value);
    }

    /** Skips where the device is not there, or open to others. */
    public static void needsClosedDevice() throws IOException {
        assumeTrue(Files.exists(DEVICE), "no " + DEVICE);
        String mode = PosixFilePermissions.toString(Files.getPosixFilePermissions(DEVICE));
        assumeTrue(mode.endsWith("---"), DEVICE + " is open to others, mode " + mode);
    }

    /** The temporary directory of the child JVMs. */
    public Path tmpdir() {
        return directory.resolve("tmp");
    }

    /** A child JVM of that user, started by a command that still has all rights. */
    public ChildJvm child(String... launcher) {
        return new ChildJvm().startedBy(launcher).startedBy(SETPRIV)
                .classPath(directory + "/classes:" + directory + "/test-classes:" + directory + "/lib/*")
                .options(NO_PERFORMANCE_DATA, "-Djava.io.tmpdir=" + tmpdir());
    }
}
