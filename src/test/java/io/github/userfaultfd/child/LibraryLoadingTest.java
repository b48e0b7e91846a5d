// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Mounts;
import io.github.userfaultfd.support.Trees;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where the library is looked for, what is said when it cannot be loaded from there, and that nothing is left behind. */
class LibraryLoadingTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FAILED = 3;

    @TempDir
    Path scratch;

    private Path tmpdir;

    @BeforeEach
    void ownTemporaryDirectory() throws Exception {
        tmpdir = Files.createDirectory(scratch.resolve("tmp"));
    }

    private ChildJvm child() {
        return new ChildJvm().options("-Djava.io.tmpdir=" + tmpdir, "-XX:-UsePerfData");
    }

    private String load(ChildJvm child, int exit) throws Exception {
        return child.run(DEADLINE, LoadLibrary.class, tmpdir.toString()).assertExit(exit).output();
    }

    private static void assertSays(String output, String... parts) {
        for (String each : parts) {
            assertTrue(output.contains(each), () -> "'" + each + "' is not in: " + output);
        }
    }

    private static void assertRemedy(String output) {
        assertSays(output, "-Duserfaultfd.library.tmpdir", "-Duserfaultfd.library.path");
    }

    private static Path library() throws Exception {
        try (Stream<Path> walk = Files.walk(ChildJvm.classes().resolve("natives"))) {
            return walk.filter(each -> each.endsWith("libuserfaultfd_jni.so")).findFirst().orElseThrow();
        }
    }

    @Test
    void extractsToTheTemporaryDirectoryAndLeavesNothing() throws Exception {
        assertSays(load(child(), 0), "works: true", "extracted to " + tmpdir + "\n", "left: []");
    }

    @Test
    void aDirectoryThatIsMountedNoexecIsNamed() throws Exception {
        Mounts.needed();
        String output = load(child().startedBy(Mounts.tmpfs("noexec", tmpdir)), FAILED);
        assertSays(output, "the temporary directory " + tmpdir + " is mounted noexec", "cause: java.lang.UnsatisfiedLinkError",
                "left: []");
        assertRemedy(output);
    }

    /** Such characters are escaped in /proc/self/mountinfo. */
    @Test
    void noexecIsFoundUnderANameWithOddCharacters() throws Exception {
        Mounts.needed();
        tmpdir = Files.createDirectory(scratch.resolve("a b\tc\\d#e"));
        assertSays(load(child().startedBy(Mounts.tmpfs("noexec", tmpdir)), FAILED),
                "the temporary directory " + tmpdir + " is mounted noexec", "left: []");
    }

    @Test
    void theOtherDirectoryHelpsAgainstNoexec() throws Exception {
        Mounts.needed();
        Path other = Files.createDirectory(scratch.resolve("other"));
        String output = load(child().startedBy(Mounts.tmpfs("noexec", tmpdir))
                .options("-Duserfaultfd.library.tmpdir=" + other), 0);
        assertSays(output, "works: true", "extracted to " + other + "\n", "left: []");
        assertEquals(List.of(), Trees.names(other));
    }

    /** One page of memory: the directory and the file can be made, but the library does not fit. */
    @Test
    void aFullDirectoryIsNamed() throws Exception {
        Mounts.needed();
        String output = load(child().startedBy(Mounts.tmpfs("size=4k", tmpdir)), FAILED);
        assertSays(output, "cannot extract the library to the temporary directory " + tmpdir,
                "No space left on device", "left: []");
        assertRemedy(output);
    }

    @Test
    void aReadOnlyDirectoryIsNamed() throws Exception {
        Mounts.needed();
        String output = load(child().startedBy(Mounts.tmpfs("ro", tmpdir)), FAILED);
        assertSays(output, "cannot extract the library to the temporary directory " + tmpdir,
                "Read-only file system", "left: []");
        assertRemedy(output);
    }

    @Test
    void aDirectoryThatDoesNotExistIsNamed() throws Exception {
        Files.delete(tmpdir);
        String output = load(child(), FAILED);
        assertSays(output, "the temporary directory " + tmpdir + " does not exist", "left: no directory");
        assertRemedy(output);
    }

    @Test
    void aFileInPlaceOfTheDirectoryIsNamed() throws Exception {
        Files.delete(tmpdir);
        Files.writeString(tmpdir, "file");
        String output = load(child(), FAILED);
        assertSays(output, "the temporary directory " + tmpdir + " is not a directory");
        assertRemedy(output);
        assertEquals("file", Files.readString(tmpdir));
    }

    @Test
    void aRelativeDirectoryWorks() throws Exception {
        Path relative = Path.of("").toAbsolutePath().relativize(tmpdir);
        assertSays(load(child().options("-Djava.io.tmpdir=" + relative), 0), "works: true", "left: []");
    }

    @Test
    void theOtherDirectoryIsNamedToo() throws Exception {
        String output = load(child().options("-Duserfaultfd.library.tmpdir=" + tmpdir + "/missing"), FAILED);
        assertSays(output, "the temporary directory " + tmpdir + "/missing does not exist", "left: []");
        assertRemedy(output);
    }

    @Test
    void thePropertyNamesAFile() throws Exception {
        assertSays(load(child().options("-Duserfaultfd.library.path=" + library()), 0),
                "works: true", "from " + library() + "\n");
    }

    @Test
    void thePropertyNamesADirectory() throws Exception {
        assertSays(load(child().options("-Duserfaultfd.library.path=" + library().getParent()), 0),
                "works: true", "from " + library() + "\n");
    }

    @Test
    void aMissingFileOfThePropertyIsNamedAndNothingElseIsTried() throws Exception {
        Path missing = scratch.resolve("missing.so");
        assertSays(load(child().options("-Duserfaultfd.library.path=" + missing), FAILED),
                "there is no file " + missing + ", which -Duserfaultfd.library.path names", "left: []");
    }

    @Test
    void aFileThatIsNoLibraryIsNamedAndNothingElseIsTried() throws Exception {
        Path text = Files.writeString(scratch.resolve("text.so"), "This is a text and no library. ".repeat(100));
        assertSays(load(child().options("-Duserfaultfd.library.path=" + text), FAILED),
                "cannot load " + text + ", which -Duserfaultfd.library.path names: ", "invalid ELF header", "left: []");
    }

    /** An unset variable in a start script. The current directory would be the wrong place to look. */
    @ParameterizedTest
    @ValueSource(strings = {"userfaultfd.library.path", "userfaultfd.library.tmpdir"})
    void anEmptyPropertyIsRefused(String property) throws Exception {
        assertSays(load(child().options("-D" + property + "="), FAILED), "-D" + property + " is empty", "left: []");
    }

    @Test
    void aJarWithoutTheLibraryIsNamed() throws Exception {
        Path classes = Trees.copy(ChildJvm.classes(), scratch.resolve("classes"),
                each -> !each.toString().contains("/natives"));
        String output = load(child().classPath(
                classes + ":" + ChildJvm.testClasses() + ":" + ChildJvm.root().resolve("target/lib") + "/*"), FAILED);
        assertSays(output, "this jar has no natives/", "os.arch " + System.getProperty("os.arch"),
                "-Duserfaultfd.library.path", "left: []");
    }

    /** native-lib-loader asks for slf4j-api, but nothing that is used of it logs. */
    @Test
    void worksSilentlyWithoutALoggingLibrary() throws Exception {
        Path lib = Trees.copy(ChildJvm.root().resolve("target/lib"), scratch.resolve("lib"),
                each -> !each.getFileName().toString().startsWith("slf4j"));
        assertTrue(Trees.names(lib).stream().noneMatch(each -> each.contains("slf4j")), () -> "no logging library in " + lib);
        String output = load(child().classPath(ChildJvm.classes() + ":" + ChildJvm.testClasses() + ":" + lib + "/*"), 0);
        assertTrue(output.startsWith("works: true"), output);
        assertEquals(2, output.lines().count(), output);
    }

    /** The names are those that this library, native-lib-loader and the JDK would use. */
    @Test
    void plantedLinksAreNeitherFollowedNorDeleted() throws Exception {
        Path victim = Files.createDirectory(scratch.resolve("victim"));
        Path precious = Files.writeString(victim.resolve("libuserfaultfd_jni.so"), "precious");
        List<String> links = List.of("libuserfaultfd_jni.so", "libuserfaultfd_jni123.so");
        List<String> directories = List.of("nativelib-loader_1", "nativelib-loader_123456", "natives", "userfaultfd-",
                "userfaultfd-1");
        for (String each : links) {
            Files.createSymbolicLink(tmpdir.resolve(each), precious);
        }
        for (String each : directories) {
            Files.createSymbolicLink(tmpdir.resolve(each), victim);
        }
        List<String> before = Trees.names(tmpdir);
        assertSays(load(child(), 0), "works: true", "left: " + before + "\n");
        assertEquals(List.of("libuserfaultfd_jni.so"), Trees.names(victim));
        assertEquals("precious", Files.readString(precious));
    }

    /** A directory that others can write to: nobody can exchange the file between its extraction and its loading. */
    @Test
    void nobodyElseCanEnterTheDirectoryOfTheFile() throws Exception {
        Files.setPosixFilePermissions(tmpdir, PosixFilePermissions.fromString("rwxrwxrwx"));
        Set<String> modes = ConcurrentHashMap.newKeySet();
        AtomicBoolean stop = new AtomicBoolean();
        FutureTask<Void> watch = new FutureTask<>(() -> {
            while (!stop.get()) {
                modes.addAll(modesOfDirectories());
            }
            return null;
        });
        Thread watcher = new Thread(watch);
        watcher.start();
        try {
            for (int i = 0; i < 20 && modes.isEmpty() && !watch.isDone(); i++) {
                load(child(), 0);
            }
        } finally {
            stop.set(true);
            watcher.join();
        }
        watch.get(); // or what ended it
        assertEquals(Set.of("rwx------"), modes);
    }

    private Set<String> modesOfDirectories() throws IOException {
        Set<String> modes = new HashSet<>();
        for (String each : Trees.names(tmpdir)) {
            try {
                modes.add(PosixFilePermissions.toString(Files.getPosixFilePermissions(tmpdir.resolve(each))));
            } catch (NoSuchFileException e) {
                continue; // It was deleted between the list and the look, as it has to be.
            }
        }
        return modes;
    }

    @Test
    void theFileIsGoneWhileTheProgramRunsAndAfterItWasKilled() throws Exception {
        Process process = new ProcessBuilder(child().command(LoadLibrary.class.getName(), tmpdir.toString(), "wait"))
                .redirectErrorStream(true).start();
        try {
            StringBuilder output = new StringBuilder();
            String line = ChildJvm.readLine(DEADLINE, process);
            while (line != null && !line.equals("ready")) {
                output.append(line).append('\n');
                line = ChildJvm.readLine(DEADLINE, process);
            }
            assertEquals("ready", line, output::toString);
            String maps = Files.readString(Path.of("/proc/" + process.pid() + "/maps"));
            assertTrue(maps.matches("(?s).* " + tmpdir + "/userfaultfd-\\d+/libuserfaultfd_jni.so \\(deleted\\)\n.*"), maps);
            assertEquals(List.of(), Trees.names(tmpdir));
        } finally {
            process.destroyForcibly();
            assertTrue(process.waitFor(DEADLINE.toSeconds(), TimeUnit.SECONDS));
        }
        assertEquals(List.of(), Trees.names(tmpdir));
        assertFalse(process.exitValue() == 0, "was killed");
    }
}
