// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the documents and the javadoc tell people to write and to run, and where their links lead: taken from the text and tried. */
class DocumentsTest {
    private static final Duration DEADLINE = Duration.ofSeconds(120);
    private static final String CLASSES = ChildJvm.classes() + ":" + ChildJvm.root().resolve("target/lib") + "/*";
    private static final Pattern JAVA = Pattern.compile("^```java\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);
    private static final Pattern COMMAND = Pattern.compile("^    ((?:make|java|\\.ci/run)\\b[^#\n]*)", Pattern.MULTILINE);
    /** A command in the text of a paragraph. */
    private static final Pattern COMMAND_BETWEEN_WORDS = Pattern.compile("`((?:make|mvn|java -jar) [^`]+)`");
    /** A line of a snippet that says what it prints. */
    private static final Pattern PRINTED = Pattern.compile("println\\(.*\\);\\s+// (\\S+)$", Pattern.MULTILINE);
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]*)(#[^)]*)?\\)");
    private static final Pattern HEADING = Pattern.compile("^#+ (.*)$", Pattern.MULTILINE);
    private static final Pattern NUMBER = Pattern.compile("(?<![\\w.])\\d+(\\.\\d+)?(?![\\w])");
    private static final Pattern COSTS = Pattern.compile("^## What it costs\n(.*?)^## ", Pattern.MULTILINE | Pattern.DOTALL);
    private static final Pattern VERSION = Pattern.compile("userfaultfd-(\\d+\\.[0-9.]*\\d)\\.jar|<version>(\\S+)</version>");

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

    private static final Pattern JAVADOC = Pattern.compile("<pre>\\{@code\n(.*?)\n *\\* \\}</pre>", Pattern.DOTALL);

    /** The same for the snippets of the javadoc, which are compiled only: most of them go on for ever. */
    private static final String UNIT = """
            import io.github.userfaultfd.*;
            import io.github.userfaultfd.memory.*;
            import io.github.userfaultfd.paging.*;
            import io.github.userfaultfd.remote.*;
            import io.github.userfaultfd.snapshot.*;
            import java.nio.channels.*;
            import java.nio.file.*;
            import java.time.*;
            import java.util.*;

            abstract class Snippet {
                abstract static class MyLoader implements PageLoader {}
                MemoryRegion region;
                long address;
                long offset;
                int length;
                Path path;
                Path directory;
                FileChannel channel;
                Uffd uffd;
                UffdSocket socket;
                List<RemoteMapping> mappings;
                PageLoader loader;
                Snapshotter snapshotter;
                DirtyTracker tracker;
                abstract void save(Object from, long offset, long length);
                void run() throws Exception {
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

    private static List<Place> places(List<Path> files, Pattern pattern) throws IOException {
        List<Place> found = new ArrayList<>();
        for (Path file : files) {
            String text = Files.readString(file);
            Matcher matcher = pattern.matcher(text);
            while (matcher.find()) {
                found.add(new Place(file, (int) text.substring(0, matcher.start()).lines().count() + 1, matcher.group(1)));
            }
        }
        return found;
    }

    static List<Place> snippets() throws IOException {
        return places(documents(), JAVA);
    }

    static List<Place> snippetsOfTheJavadoc() throws IOException {
        try (Stream<Path> files = Files.walk(ChildJvm.root().resolve("src/main/java"))) {
            return places(files.filter(each -> each.toString().endsWith(".java")).sorted().toList(), JAVADOC);
        }
    }

    static List<Place> commands() throws IOException {
        List<Place> found = new ArrayList<>(places(documents(), COMMAND));
        found.addAll(places(documents(), COMMAND_BETWEEN_WORDS));
        return found;
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
        compile(source, classes);
        List<String> printed = new ChildJvm().classPath(classes + ":" + CLASSES).run(DEADLINE, "Snippet", scratch.toString())
                .assertExit(0).output().lines().toList();
        assertEquals("done", printed.get(printed.size() - 1));
        Matcher expected = PRINTED.matcher(snippet.text());
        while (expected.find()) {
            assertTrue(printed.contains(expected.group(1)), () -> expected.group() + " printed " + printed);
        }
    }

    @ParameterizedTest
    @MethodSource("snippetsOfTheJavadoc")
    void theSnippetsOfTheJavadocCompile(Place snippet) throws Exception {
        Path source = Files.writeString(scratch.resolve("Snippet.java"),
                UNIT.replace("SNIPPET", snippet.text().replaceAll("(?m)^ *\\* ?", "")));
        compile(source, scratch);
    }

    private static void compile(Path source, Path classes) throws IOException {
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        int exit = ToolProvider.getSystemJavaCompiler().run(null, null, errors, "-cp", CLASSES, "-d", classes.toString(),
                source.toString());
        assertEquals(0, exit, errors::toString);
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
                assertEquals("target/userfaultfd-*.jar", words.get(2), command.text());
                String name = words.get(3);
                String usage = new ChildJvm().run(DEADLINE, Main.class, "help").assertExit(0).output();
                assertTrue(usage.contains("\n  " + name + " "), usage);
                for (String word : words.subList(4, words.size())) {
                    String option = word.replaceAll("[\\[\\]]", "");
                    assertTrue(!option.startsWith("--") || usage.contains(option), option + " is not in " + usage);
                }
            }
            case "mvn" -> {
                for (String word : words.subList(2, words.size())) {
                    assertTrue(word.matches("-D(maven.test.skip|test.jvm=.*|test=.*)"), command.text());
                    if (word.startsWith("-Dtest=")) {
                        assertTrue(isTest(word.substring(word.indexOf('=') + 1)), word);
                    }
                }
                assertTrue(words.get(1).matches("test|install"), command.text());
            }
            default -> assertTrue(Files.isExecutable(ChildJvm.root().resolve(words.get(0))), command.text());
        }
    }

    private static boolean isTest(String name) throws IOException {
        try (Stream<Path> files = Files.walk(ChildJvm.testClasses())) {
            return files.anyMatch(each -> each.endsWith(name + ".class"));
        }
    }

    /** Whether there is such a file, and in it such a heading. */
    private static boolean leadsSomewhere(Path from, String to, String heading) throws IOException {
        Path file = to.isEmpty() ? from : from.resolveSibling(to);
        return Files.exists(file) && (heading == null || HEADING.matcher(Files.readString(file)).results()
                .anyMatch(each -> heading.substring(1)
                        .equals(each.group(1).toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9 -]", "").replace(' ', '-'))));
    }

    @Test
    void theLinksLeadSomewhere() throws IOException {
        List<String> broken = new ArrayList<>();
        for (Path file : documents()) {
            Matcher link = LINK.matcher(Files.readString(file));
            while (link.find()) {
                if (!link.group(1).startsWith("http") && !leadsSomewhere(file, link.group(1), link.group(2))) {
                    broken.add(file + " " + link.group());
                }
            }
        }
        assertEquals(List.of(), broken);
        assertFalse(snippets().isEmpty() || commands().isEmpty());
    }

    private static List<BigDecimal> numbers(String text) {
        return NUMBER.matcher(text).results().map(each -> new BigDecimal(each.group())).toList();
    }

    /** In another unit perhaps, a thousand times larger or smaller. */
    private static boolean isRounded(BigDecimal number, BigDecimal exact) {
        return IntStream.of(-3, 0, 3).anyMatch(power -> exact.scaleByPowerOfTen(power)
                .setScale(number.scale(), RoundingMode.HALF_UP).compareTo(number) == 0);
    }

    /** A measurement that is made anew changes one of the documents, and has to change the README too. */
    @Test
    void theFiguresOfTheReadmeAreThoseOfTheDocuments() throws IOException {
        Matcher costs = COSTS.matcher(Files.readString(ChildJvm.root().resolve("README.md")));
        assertTrue(costs.find());
        List<BigDecimal> measured = new ArrayList<>();
        for (String each : new String[] {"performance", "snapshots", "remote"}) {
            measured.addAll(numbers(Files.readString(ChildJvm.root().resolve("docs/" + each + ".md"))));
        }
        List<BigDecimal> claimed = numbers(costs.group(1));
        assertFalse(claimed.isEmpty());
        assertEquals(List.of(), claimed.stream().filter(each -> measured.stream().noneMatch(exact -> isRounded(each, exact)))
                .toList());
    }

    /** What people copy names the jar that the build makes. */
    @Test
    void theVersionIsThatOfTheBuild() throws IOException {
        Matcher pom = VERSION.matcher(Files.readString(ChildJvm.root().resolve("pom.xml")));
        assertTrue(pom.find());
        List<Path> texts = documents();
        try (Stream<Path> examples = Files.list(ChildJvm.root().resolve("examples"))) {
            examples.forEach(texts::add);
        }
        int named = 0;
        for (Path file : texts) {
            Matcher version = VERSION.matcher(Files.readString(file));
            for (; version.find(); named++) {
                assertEquals(pom.group(2), version.group(version.group(1) == null ? 2 : 1), file::toString);
            }
        }
        assertTrue(named > 0);
    }
}
