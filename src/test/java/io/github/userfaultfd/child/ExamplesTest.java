// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Runs each program of examples/ by the command in its header; it has to print what the header says. */
class ExamplesTest {
    static List<String> examples() throws Exception {
        try (Stream<Path> files = Files.list(ChildJvm.root().resolve("examples"))) {
            return files.map(each -> each.getFileName().toString()).filter(each -> each.endsWith(".java")).sorted()
                    .collect(Collectors.toList());
        }
    }

    @ParameterizedTest
    @MethodSource("examples")
    void printsWhatItsHeaderSays(String name) throws Exception {
        Path file = ChildJvm.root().resolve("examples").resolve(name);
        List<String> header = Files.readAllLines(file).stream().takeWhile(each -> each.startsWith("//"))
                .map(each -> each.length() > 2 ? each.substring(3) : "").toList();
        String command = header.stream().filter(each -> each.matches("  javac? .*")).findFirst().orElseThrow().strip();
        List<String> expected = new ArrayList<>(header.subList(header.indexOf("prints") + 2, header.size()));
        expected.replaceAll(String::strip);
        Path javac = ChildJvm.java().resolveSibling("javac");
        String java = Files.readString(file).contains("JDK 22 and newer") ? Needs.newerJava().toString() : ChildJvm.java().toString();
        if (Runtime.version().feature() >= 22 && !command.contains("native-access")) {
            java += " --enable-native-access=ALL-UNNAMED"; // as the README says
        }
        // The tests run before the jar may have been made anew: the classes themselves stand for it.
        String line = command.replaceAll("(^|&& )java ", "$1" + java + " ").replaceFirst("^javac ", javac + " ")
                .replaceAll("target/userfaultfd-[0-9.]+[.]jar", "target/classes");
        ChildJvm.Result result = ChildJvm.run(Duration.ofSeconds(60),
                List.of("sh", "-c", "cd '" + ChildJvm.root() + "' && " + line)).assertExit(0);
        assertTrue(expected.size() > 0);
        assertEquals(expected, result.output().lines().toList());
    }
}
