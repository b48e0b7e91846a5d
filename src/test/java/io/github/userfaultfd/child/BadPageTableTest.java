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
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Makes the tables of docs/safepoints.md: what each access gets from a failed page, and from a closed region, on each JDK. */
class BadPageTableTest {
    private static final Map<String, List<String>> TABLE = new TreeMap<>();

    static List<String> accesses() {
        return List.copyOf(BadPageAccess.accesses().keySet());
    }

    private static List<String> run(Path java, String state, String access) throws Exception {
        ChildJvm.Result result = new ChildJvm().java(java).options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null")
                .run(Duration.ofSeconds(60), BadPageAccess.class, state, access);
        assertTrue(!result.killed(), state + ", " + access + " hangs: " + result.output());
        if (result.exit() != 0) {
            return List.of(result.output().contains("SIGBUS") ? "the JVM crashes" : "exit " + result.exit());
        }
        return result.output().lines().filter(each -> !each.startsWith("WARNING") && !each.isBlank()).toList();
    }

    @ParameterizedTest
    @MethodSource("accesses")
    void eachAccess(String access) throws Exception {
        List<String> row = new ArrayList<>();
        // System calls never get a missing page from the kernel here: FileChannel reports EFAULT before any fault is raised.
        List<String> failed = access.equals("FileChannel.write") ? List.of("EFAULT") : List.of("pattern", "check threw");
        assertEquals(failed, run(ChildJvm.java(), "failed source", access));
        row.add(failed.get(0));
        Path newer = Needs.newerJava();
        assertEquals(failed, run(newer, "failed source", access));
        row.add(failed.get(0));
        row.add(run(ChildJvm.java(), "closed region", access).get(0));
        assertEquals(List.of("IllegalStateException"), run(newer, "closed region", access));
        row.add("IllegalStateException");
        TABLE.put(access, row);
    }

    @AfterAll
    static void writeTable() throws Exception {
        StringBuilder table = new StringBuilder("| access | failed page, FILL, tests' JDK | newer JDK | closed region, tests' JDK | newer JDK |\n")
                .append("| --- | --- | --- | --- | --- |\n");
        TABLE.forEach((access, row) -> table.append("| ").append(access).append(" | ").append(String.join(" | ", row)).append(" |\n"));
        Files.writeString(ChildJvm.root().resolve("target/bad-pages.md"), table);
    }
}
