// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the jar tells GraalVM's native-image, against the classes, methods and resources that it names and that the code uses. */
class NativeImageMetadataTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final Pattern CLASS = Pattern.compile("\"name\": \"([\\w.$]+)\",\\s*\"condition\": \\{\"typeReachable\": \"([\\w.$]+)\"}");
    private static final Pattern METHOD = Pattern.compile("\\{\"name\": \"(\\w+)\", \"parameterTypes\": \\[([^]]*)]}");

    private static String metadata(String file) throws IOException {
        return Files.readString(ChildJvm.classes().resolve(
                "META-INF/native-image/io.github.userfaultfd/userfaultfd/" + file));
    }

    private static Set<String> found(String pattern, String text) {
        return Pattern.compile(pattern).matcher(text).results().map((MatchResult each) -> each.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void theLibrariesAreResources() throws Exception {
        Set<String> patterns = found("\"pattern\": \"([^\"]+)\"", metadata("resource-config.json"));
        assertEquals(1, patterns.size(), patterns::toString);
        Pattern pattern = Pattern.compile(patterns.iterator().next().replace("\\\\", "\\"));
        for (String each : List.of("amd64", "aarch64", "riscv64", "arm", "ppc64le", "s390x", "loongarch64")) {
            String resource = NativeLibrary.resourceName("Linux", each);
            assertTrue(pattern.matcher(resource).matches(), resource);
        }
        try (Stream<Path> files = Files.walk(ChildJvm.classes())) {
            List<String> matching = files.map(each -> ChildJvm.classes().relativize(each).toString())
                    .filter(each -> pattern.matcher(each).matches()).toList();
            assertFalse(matching.isEmpty(), "no resource matches");
            assertTrue(matching.stream().allMatch(each -> each.endsWith("/" + NativeLibrary.FILE_NAME)), matching::toString);
        }
    }

    /** Whatever the code looks up by a name is listed, and nothing else. */
    @Test
    void whatIsFoundByNameIsListed() throws Exception {
        Set<String> classes = new TreeSet<>();
        Set<String> methods = new TreeSet<>();
        try (Stream<Path> files = Files.walk(ChildJvm.root().resolve("src/main/java"))) {
            for (Path each : files.filter(file -> file.toString().endsWith(".java")).toList()) {
                String source = Files.readString(each);
                classes.addAll(found("Class\\.forName\\(\"([\\w.$]+)\"", source));
                methods.addAll(found("find(?:Static|Virtual)\\(\\w+, \"(\\w+)\"", source));
            }
        }
        String metadata = metadata("reflect-config.json");
        assertFalse(classes.isEmpty(), "no class is found by name");
        assertEquals(classes, found(CLASS.pattern(), metadata));
        assertEquals(methods, found(METHOD.pattern(), metadata));
    }

    @Test
    void theClassesThatNeedThemExist() throws Exception {
        List<MatchResult> classes = CLASS.matcher(metadata("reflect-config.json")).results().toList();
        assertFalse(classes.isEmpty(), "no class");
        for (MatchResult each : classes) {
            assertEquals(each.group(2), Class.forName(each.group(2), false, getClass().getClassLoader()).getName());
        }
    }

    /** In a JDK that has them, which is not the one that builds. */
    @Test
    void theMethodsExistWithTheirParameters(@TempDir Path scratch) throws Exception {
        Path java = Needs.newerJava();
        List<String> lines = new ArrayList<>();
        for (String each : metadata("reflect-config.json").split("\\{\\s+\"name\"")) {
            Set<String> name = found("^: \"([\\w.$]+)\"", each);
            METHOD.matcher(each).results().forEach(method -> lines.add(String.format("Class.forName(\"%s\").getMethod(\"%s\"%s);",
                    name.iterator().next(), method.group(1), Stream.of(method.group(2).split(", ")).filter(type -> !type.isEmpty())
                            .map(type -> type.equals("\"long\"") ? ", long.class" : ", Class.forName(" + type + ")")
                            .collect(Collectors.joining()))));
        }
        assertEquals(6, lines.size(), lines::toString);
        Path source = Files.writeString(scratch.resolve("Look.java"), "class Look { public static void main(String[] a) "
                + "throws Exception {\n" + String.join("\n", lines) + "\nSystem.out.println(\"all there\"); } }\n");
        assertEquals("all there\n", ChildJvm.run(DEADLINE, List.of(java.toString(), source.toString())).assertExit(0).output());
    }
}
