// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.remote.ZstdFile;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** {@code java -jar userfaultfd.jar COMMAND}. */
public final class Main {
    private static final int FAILED = 1;
    private static final int MISUSED = 2;

    private static final String USAGE = """
            usage: java -jar userfaultfd.jar COMMAND

              compress FILE COMPRESSED [LEVEL]
                            make a file that can be decompressed page by page (zstd's seekable format; LEVEL is 3 unless
                            given); its name should end with .zst
              demo [FILE]   restore a file lazily through page faults, check it, and compare with reading it first;
                            FILE is the running JDK's lib/modules unless given
              firecracker --socket S --memory FILE [--prefetch TRACE] [--record TRACE] [--once]
                            serve the page faults of Firecracker microVMs that are restored from a snapshot: S is made,
                            FILE is the snapshot's memory file or an http(s) URL, compressed if its name ends with .zst
                            (see compress) or .lz4 (files only); TRACE tells which pages were touched first, of the first
                            microVM; with --once, end with it
              doctor [--json]
                            try everything that the library needs of this system, and say what to do about what is missing;
                            the exit code is 0 if paging works
              help          this text
              version       the version of the library
            """;

    private Main() {}

    /**
     * Runs one command and ends the JVM with its exit code: 0 done, 1 failed, 2 not understood.
     *
     * @param arguments the command and what belongs to it
     */
    public static void main(String[] arguments) {
        System.exit(run(List.of(arguments), System.out, System.err));
    }

    static int run(List<String> arguments, PrintStream out, PrintStream err) {
        String command = arguments.isEmpty() ? "" : arguments.get(0);
        List<String> rest = arguments.isEmpty() ? List.of() : arguments.subList(1, arguments.size());
        try {
            switch (command) {
                case "demo" -> {
                    if (rest.size() > 1 || rest.stream().anyMatch(each -> each.startsWith("-"))) {
                        return misused("demo takes one FILE at most, not " + String.join(" ", rest), err);
                    }
                    return new Demo(rest.isEmpty() ? Demo.ownModules() : Path.of(rest.get(0)), out).run() ? 0 : FAILED;
                }
                case "compress" -> {
                    if (rest.size() < 2 || rest.size() > 3 || !rest.subList(2, rest.size()).stream().allMatch(Main::isNumber)) {
                        return misused("compress takes FILE COMPRESSED [LEVEL], not " + String.join(" ", rest), err);
                    }
                    compress(Path.of(rest.get(0)), Path.of(rest.get(1)), rest.subList(2, rest.size()), out);
                }
                case "firecracker" -> {
                    try {
                        return Firecracker.run(rest, out) ? 0 : FAILED;
                    } catch (Firecracker.MisuseException e) {
                        return misused(e.getMessage(), err);
                    }
                }
                case "doctor" -> {
                    if (!rest.isEmpty() && !rest.equals(List.of("--json"))) {
                        return misused("doctor takes no argument but --json, not " + String.join(" ", rest), err);
                    }
                    return doctor(!rest.isEmpty(), out) ? 0 : FAILED;
                }
                case "help", "--help", "-h" -> out.print(USAGE);
                case "version", "--version" -> out.println(version());
                case "" -> {
                    err.print(USAGE);
                    return MISUSED;
                }
                default -> {
                    return misused("no command " + command, err);
                }
            }
            return 0;
        } catch (Exception | LinkageError e) {
            err.println("userfaultfd: " + command + ": " + words(cause(e)));
            if (e instanceof NoClassDefFoundError || e.getCause() instanceof NoClassDefFoundError) {
                err.println("java -jar looks at no other class path; java -cp JAR:JAR " + Main.class.getName() + " " + command
                        + " does");
            }
            return FAILED;
        }
    }

    private static boolean doctor(boolean json, PrintStream out) throws IOException {
        Map<Doctor.Section, List<Finding>> sections = Doctor.examine();
        if (json) {
            DoctorReport.json(sections, out);
        } else {
            DoctorReport.text(sections, out);
        }
        if (out.checkError()) {
            throw new IOException("the report could not be written");
        }
        return Doctor.works(sections);
    }

    /** What made a class of the library unusable is why it cannot be used. */
    static Throwable cause(Throwable e) {
        return e instanceof ExceptionInInitializerError && e.getCause() != null ? e.getCause() : e;
    }

    private static boolean isNumber(String text) {
        return text.matches("-?\\d{1,6}");
    }

    private static void compress(Path file, Path compressed, List<String> level, PrintStream out) throws IOException {
        ZstdFile.compress(file, compressed, level.isEmpty() ? ZstdFile.LEVEL : Integer.parseInt(level.get(0)),
                ZstdFile.FRAME_BYTES);
        out.println(compressed + ": " + Files.size(compressed) + " bytes of " + Files.size(file));
    }

    /** The messages of this library are sentences; others, such as that of FileSystemException, need their class's name. */
    static String words(Throwable cause) {
        boolean ours = cause instanceof UffdException || cause instanceof UnsatisfiedLinkError
                || cause.getClass() == IOException.class;
        return ours ? cause.getMessage().replaceFirst("^userfaultfd: ", "") : cause.toString();
    }

    private static int misused(String why, PrintStream err) {
        err.println("userfaultfd: " + why);
        err.print(USAGE);
        return MISUSED;
    }

    private static String version() {
        String version = Main.class.getPackage().getImplementationVersion();
        return "userfaultfd " + (version == null ? "(not from a jar)" : version);
    }
}
