// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the documents tell people to write and to run, and where their links lead: taken from the text and tried. */
class DocumentsTest {
    private static final Duration DEADLINE = Duration.ofSeconds(120);
    private static final Pattern JAVA = Pattern.compile("^```java\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);
    private static final Pattern COMMAND = Pattern.compile("^    ((?:make|java|\\.ci/run)\\b[^#\n]*)", Pattern.MULTILINE);
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]+)(#[^)]*)?\\)");

    /** What the reader of a snippet has at hand: the names that the snippets use and do not declare. */
    private static final String PROGRAM = """
            import io.github.userfaultfd.*;
            import io.github.userfaultfd.memory.*;
            import io.github.userfaultfd.paging.*;
            import io.github.userfaultfd.remote.*;
            import io.github.userfaultfd.snapshot.*;
            import java.io.*;
            import java.nio.*;
            import java.nio.channels.*;
            import java.nio.file.*;
            import java.time.*;
            import java.util.*;

            public class Snippet {
                private static final int SIZE = 4 << 20;
            MEMBERS
                public static final class MyLoader implements PageLoader {
                    public MyLoader(String[] arguments) {}

                    @Override
                    public void load(long offset, ByteBuffer page) {
                        while (page.hasRemaining()) {
                            page.put((byte) 42);
                        }
                    }
                }

                public static void main(String[] arguments) throws Exception {
                    Path directory = Path.of(arguments[0]);
                    Path file = Files.write(directory.resolve("file"), new byte[SIZE]);
                    MemoryRegion region = MemoryRegion.anonymous(SIZE);
                    MemoryRegion source = MemoryRegion.anonymous(SIZE);
                    run(directory, file, region, source);
                    region.close();
                    System.out.println("done");
                }

                private static void run(Path directory, Path file, MemoryRegion region, MemoryRegion source) throws Exception {
            SNIPPET
                }
            }
            """;

    /** A class that a snippet begins with. */
    private static final Pattern MEMBERS = Pattern.compile("\\A(public static .*?^}\n)", Pattern.MULTILINE | Pattern.DOTALL);

    @TempDir
    private Path scratch;

    private record Place(Path file, int line, String text) {
        @Override
        public String toString() {
            return ChildJvm.root().relativize(file) + ":" + line;
        }
    }

    private static List<Path> documents() throws IOException {
        List<Path> found = new ArrayList<>();
        for (String each : new String[] {"", "docs"}) {
            try (Stream<Path> files = Files.list(ChildJvm.root().resolve(each))) {
                files.filter(file -> file.toString().endsWith(".md")).sorted().forEach(found::add);
            }
        }
        return found;
    }

    private static List<Place> places(Pattern pattern) throws IOException {
        List<Place> found = new ArrayList<>();
        for (Path file : documents()) {
            String text = Files.readString(file);
            Matcher matcher = pattern.matcher(text);
            while (matcher.find()) {
                found.add(new Place(file, (int) text.substring(0, matcher.start()).lines().count() + 1, matcher.group(1)));
            }
        }
        return found;
    }

    static List<Place> snippets() throws IOException {
        return places(JAVA);
    }

    static List<Place> commands() throws IOException {
        return places(COMMAND);
    }

    @ParameterizedTest
    @MethodSource("snippets")
    void theSnippetsRun(Place snippet) throws Exception {
        // A name that the snippet declares itself is not handed in.
        String program = PROGRAM;
        for (String name : new String[] {"directory", "file", "region", "source"}) {
            if (Pattern.compile("\\b(MemoryRegion|Path) " + name + " =").matcher(snippet.text()).find()) {
                program = program.replaceAll("(MemoryRegion|Path) " + name + "([,)])", "$1 other_" + name + "$2");
            }
        }
        Matcher begin = MEMBERS.matcher(snippet.text());
        String members = begin.find() ? begin.group() : "";
        Path source = Files.writeString(scratch.resolve("Snippet.java"), program.replace("MEMBERS", members)
                .replace("SNIPPET", snippet.text().substring(members.length())));
        Path classes = Files.createDirectory(scratch.resolve("classes"));
        String path = ChildJvm.classes() + ":" + ChildJvm.root().resolve("target/lib") + "/*";
        assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-cp", path, "-d", classes.toString(),
                source.toString()), snippet::text);
        assertTrue(new ChildJvm().classPath(classes + ":" + path).run(DEADLINE, "Snippet", scratch.toString()).assertExit(0)
                .output().endsWith("done\n"));
    }

    /** Of make only whether the targets are there: this is one of them. Of the jar the commands themselves, in their classes. */
    @ParameterizedTest
    @MethodSource("commands")
    void theCommandsExist(Place command) throws Exception {
        List<String> words = List.of(command.text().strip().split("\\s+"));
        switch (words.get(0)) {
            case "make" -> {
                Needs.command("make");
                List<String> dry = new ArrayList<>(List.of("make", "-n", "-C", ChildJvm.root().toString()));
                dry.addAll(words.subList(1, words.size()));
                ChildJvm.run(DEADLINE, dry).assertExit(0);
            }
            case "java" -> {
                assertEquals("-jar", words.get(1), command.text());
                String name = words.get(3);
                String usage = new ChildJvm().run(DEADLINE, Main.class, "help").assertExit(0).output();
                assertTrue(usage.contains("\n  " + name + " "), usage);
                for (String word : words.subList(4, words.size())) {
                    String option = word.replaceAll("[\\[\\]]", "");
                    assertTrue(!option.startsWith("--") || usage.contains(option), option + " is not in " + usage);
                }
            }
            default -> assertTrue(Files.isExecutable(ChildJvm.root().resolve(words.get(0))), command.text());
        }
    }

    @Test
    void theLinksLeadSomewhere() throws IOException {
        List<String> broken = new ArrayList<>();
        for (Place each : places(LINK)) {
            if (!each.text().startsWith("http") && !Files.exists(each.file().resolveSibling(each.text()))) {
                broken.add(each + " " + each.text());
            }
        }
        assertEquals(List.of(), broken);
        assertFalse(snippets().isEmpty() || commands().isEmpty());
    }
}
