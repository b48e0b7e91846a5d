// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import org.scijava.nativelib.JniExtractor;
import org.scijava.nativelib.NativeLibraryUtil;

/**
 * Finds the native library, puts it where the dynamic linker can read it, loads it and takes the file away again. It is
 * looked for in two places only: where the property {@value #PATH_PROPERTY} says, or inside the jar. Never in the current
 * directory, in the home directory or on a search path.
 */
public final class NativeLibrary {
    /** The file to load, or the directory that holds it; if set, there is no other attempt. */
    public static final String PATH_PROPERTY = "userfaultfd.library.path";

    /** The directory to extract to, instead of {@code java.io.tmpdir}. */
    public static final String TMPDIR_PROPERTY = "userfaultfd.library.tmpdir";

    static final String FILE_NAME = "libuserfaultfd_jni.so";

    private static volatile String loadedFrom = "not loaded";

    private NativeLibrary() {}

    /** {@return where the library was loaded from, in words for people} */
    public static String loadedFrom() {
        return loadedFrom;
    }

    static void load() {
        String path = System.getProperty(PATH_PROPERTY);
        try {
            if (path != null) {
                loadFile(notEmpty(PATH_PROPERTY, path));
            } else {
                loadResource(resourceName(System.getProperty("os.name"), System.getProperty("os.arch")));
            }
        } catch (IllegalCallerException e) {
            // JDK 24 and newer with --illegal-native-access=deny.
            Module module = NativeLibrary.class.getModule();
            throw failure("this JVM was told to deny native code; allow it with --enable-native-access="
                    + (module.isNamed() ? module.getName() : "ALL-UNNAMED") + " (" + e.getMessage() + ")", e);
        }
    }

    /** An empty value, which a start script makes of an unset variable, would mean the current directory. */
    private static String notEmpty(String property, String value) {
        if (value.isEmpty()) {
            throw failure("-D" + property + " is empty; give it a value or leave it out", null);
        }
        return value;
    }

    private static void loadFile(String path) {
        Path file = Path.of(path).toAbsolutePath();
        if (Files.isDirectory(file)) {
            file = file.resolve(FILE_NAME);
        }
        if (!Files.exists(file)) {
            throw failure("there is no file " + file + ", which -D" + PATH_PROPERTY + " names", null);
        }
        try {
            System.load(file.toString());
        } catch (UnsatisfiedLinkError e) {
            throw failure("cannot load " + file + ", which -D" + PATH_PROPERTY + " names: " + e.getMessage(), e);
        }
        loadedFrom = file.toString();
    }

    private static void loadResource(String resource) {
        if (NativeLibrary.class.getResource("/" + resource) == null) {
            throw failure("this jar has no " + resource + ", so it was not built for this processor (os.arch "
                    + System.getProperty("os.arch") + "); name a library file with -D" + PATH_PROPERTY, null);
        }
        Extractor extractor = new Extractor();
        try {
            File file = extractor.extractJni(resource, FILE_NAME);
            System.load(file.getPath());
            loadedFrom = "the jar's " + resource + ", extracted to " + file.getParentFile().getParent();
        } catch (IOException | UnsatisfiedLinkError e) {
            throw failure(extractor.explain(e), e);
        } finally {
            extractor.deleteExtracted();
        }
    }

    /**
     * The resource that holds the library for a system, as {@link NativeLibraryUtil} names its folders and with names of our
     * own for the processors that it does not know.
     */
    static String resourceName(String osName, String osArch) {
        if (!osName.toLowerCase(Locale.ROOT).startsWith("linux")) {
            throw failure("userfaultfd is a system call of Linux; os.name is " + osName, null);
        }
        String folder = switch (osArch) {
            case "amd64", "x86_64", "x86-64" -> NativeLibraryUtil.Architecture.LINUX_64.name();
            case "aarch64", "arm64" -> NativeLibraryUtil.Architecture.LINUX_ARM64.name();
            case "riscv64" -> NativeLibraryUtil.Architecture.LINUX_RISCV64.name();
            case "arm" -> NativeLibraryUtil.Architecture.LINUX_ARM.name();
            case "ppc64le", "s390x", "loongarch64" -> "linux_" + osArch;
            default -> throw failure("no native library for this processor: os.arch is " + osArch + "; build " + FILE_NAME
                    + " from the sources and name it with -D" + PATH_PROPERTY, null);
        };
        return NativeLibraryUtil.DEFAULT_SEARCH_PATH + folder.toLowerCase(Locale.ROOT) + "/" + FILE_NAME;
    }

    private static UnsatisfiedLinkError failure(String message, Throwable cause) {
        UnsatisfiedLinkError error = new UnsatisfiedLinkError("userfaultfd: " + message);
        if (cause != null) {
            error.initCause(cause);
        }
        return error;
    }

    /** Extracts into a directory that this process alone can enter, made under a name that did not exist. */
    private static final class Extractor implements JniExtractor {
        private final Path parent = parent();
        private Path directory;
        private Path file;

        /** Absolute, because System.load takes nothing else. */
        private static Path parent() {
            String property = System.getProperty(TMPDIR_PROPERTY) == null ? "java.io.tmpdir" : TMPDIR_PROPERTY;
            return Path.of(notEmpty(property, System.getProperty(property))).toAbsolutePath();
        }

        @Override
        public File extractJni(String resource, String name) throws IOException {
            try (InputStream in = NativeLibrary.class.getResourceAsStream("/" + resource)) {
                directory = Files.createTempDirectory(parent, "userfaultfd-",
                        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
                file = directory.resolve(name);
                Files.copy(in, file);
                return file.toFile();
            }
        }

        @Override
        public void extractRegistered() {
            // One library, extracted when it is asked for: nothing is registered.
        }

        void deleteExtracted() {
            for (Path each : new Path[] {file, directory}) {
                try {
                    if (each != null) {
                        Files.deleteIfExists(each);
                    }
                } catch (IOException e) {
                    System.getLogger("io.github.userfaultfd").log(System.Logger.Level.WARNING, "cannot delete " + each, e);
                }
            }
        }

        String explain(Throwable cause) {
            String remedy = "; name another directory with -D" + TMPDIR_PROPERTY + ", or a library file with -D" + PATH_PROPERTY;
            if (directory == null && cause instanceof IOException && !Files.isDirectory(parent)) {
                return "the temporary directory " + parent
                        + (Files.exists(parent) ? " is not a directory" : " does not exist") + remedy;
            }
            if (cause instanceof UnsatisfiedLinkError && MountOptions.of(parent).contains("noexec")) {
                return "the temporary directory " + parent + " is mounted noexec, so no library can be loaded from it" + remedy;
            }
            if (cause instanceof UnsatisfiedLinkError) {
                return "the library extracted to " + parent + " cannot be loaded: " + cause.getMessage() + remedy;
            }
            return "cannot extract the library to the temporary directory " + parent + ": " + cause + remedy;
        }
    }
}
