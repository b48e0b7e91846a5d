// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Output;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Makes the table of docs/safepoints.md: what each access gets from a failed page, and from a closed region, on each JDK. Each cell
 * is allowed, and is what the document has.
 */
class BadPageTableTest {
    private static final List<String> COLUMNS =
            List.of("failed page, FILL, JDK 17", "JDK 25", "closed region, JDK 17", "JDK 25");
    private static final int FAILED = 0;
    private static final int FAILED_NEWER = 1;
    private static final int CLOSED = 2;
    private static final int CLOSED_NEWER = 3;
    private static final String OR = ", or ";
    private static final String CRASH = "the JVM crashes";
    private static final Map<String, List<String>> TABLE = new TreeMap<>();

    /** The same table in the document. */
    private static final Map<String, List<String>> DOCUMENT = new TreeMap<>();

    @BeforeAll
    static void readDocument() throws IOException {
        List<String> rows = Files.readAllLines(ChildJvm.root().resolve("docs/safepoints.md")).stream()
                .dropWhile(each -> !each.equals(row("access", COLUMNS))).skip(2).takeWhile(each -> each.startsWith("|")).toList();
        for (String each : rows) {
            List<String> cells = Arrays.stream(each.split("\\|")).map(String::strip).toList();
            DOCUMENT.put(cells.get(1), cells.subList(2, cells.size()));
        }
    }

    static List<String> accesses() {
        return List.copyOf(BadPageAccess.accesses().keySet());
    }

    private static boolean isNew() {
        return Runtime.version().feature() >= 22;
    }

    /** System calls never get a missing page from the kernel here: FileChannel reports EFAULT before any fault is raised. */
    private static boolean isSystemCall(String access) {
        return access.equals("FileChannel.write");
    }

    /** A late access never gets bytes, neither zeros nor somebody else's. */
    private static Set<String> allowedLate(String access, boolean newer) {
        return newer ? Set.of("IllegalStateException") : isSystemCall(access) ? Set.of("EFAULT") : Set.of("InternalError", CRASH);
    }

    private static List<String> run(Path java, String state, String access, String... options) throws Exception {
        ChildJvm child = new ChildJvm().java(java).options(options)
                .options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null");
        Output output = Output.of(Duration.ofSeconds(60), child.command(BadPageAccess.class.getName(), state, access));
        if (output.exit() != 0 && output.out().contains("\n#  SIGBUS (")) {
            return List.of(CRASH);
        }
        assertEquals(0, output.exit(), output::toString);
        return output.out().lines().toList();
    }

    private static void assertDocumented(String access, int column, String cell) {
        TABLE.computeIfAbsent(access, each -> new ArrayList<>(Collections.nCopies(COLUMNS.size(), "not tried"))).set(column, cell);
        String documented = DOCUMENT.getOrDefault(access, Collections.nCopies(COLUMNS.size(), "no row")).get(column);
        assertEquals(documented, cell, "docs/safepoints.md, " + access + ", " + COLUMNS.get(column));
    }

    private static void failedPage(Path java, String access, int column) throws Exception {
        List<String> expected = isSystemCall(access) ? List.of("EFAULT") : List.of("pattern", "check threw");
        assertEquals(expected, run(java, "failed source", access));
        assertDocumented(access, column, expected.get(0));
    }

    @ParameterizedTest
    @MethodSource("accesses")
    void aFailedPage(String access) throws Exception {
        failedPage(ChildJvm.java(), access, FAILED);
    }

    @ParameterizedTest
    @MethodSource("accesses")
    void aFailedPageOnANewerJdk(String access) throws Exception {
        failedPage(Needs.newerJava(), access, FAILED_NEWER);
    }

    /** Compiled by C1 and by C2, before it is made: that makes a difference. */
    @ParameterizedTest
    @MethodSource("accesses")
    void aClosedRegion(String access) throws Exception {
        Set<String> outcomes = new LinkedHashSet<>();
        outcomes.addAll(run(ChildJvm.java(), "closed region", access, "-Xbatch", "-XX:TieredStopAtLevel=1"));
        outcomes.addAll(run(ChildJvm.java(), "closed region", access, "-Xbatch"));
        assertTrue(allowedLate(access, isNew()).containsAll(outcomes), outcomes::toString);
        String cell = String.join(OR, outcomes);
        if (isNew() || Runtime.version().feature() == 17 && System.getProperty("os.arch").equals("amd64")) {
            assertDocumented(access, isNew() ? CLOSED_NEWER : CLOSED, cell);
        } else {
            System.out.println("docs/safepoints.md has JDK 17 on x86_64; here " + access + " to a closed region: " + cell);
        }
    }

    @ParameterizedTest
    @MethodSource("accesses")
    void aClosedRegionOnANewerJdk(String access) throws Exception {
        assertEquals(List.of("IllegalStateException"), run(Needs.newerJava(), "closed region", access));
        assertDocumented(access, CLOSED_NEWER, "IllegalStateException");
    }

    @Test
    void theDocumentHasEachAccessAndNothingThatIsNotAllowed() {
        assertEquals(new TreeSet<>(accesses()), DOCUMENT.keySet());
        DOCUMENT.forEach((access, cells) -> {
            assertEquals(COLUMNS.size(), cells.size(), access);
            assertTrue(allowedLate(access, false).containsAll(List.of(cells.get(CLOSED).split(OR))), cells::toString);
        });
    }

    private static String row(String access, List<String> cells) {
        return "| " + access + " | " + String.join(" | ", cells) + " |";
    }

    /** What was found, in the document's format. */
    @AfterAll
    static void writeTable() throws IOException {
        StringBuilder table = new StringBuilder(row("access", COLUMNS)).append("\n| --- | --- | --- | --- | --- |\n");
        TABLE.forEach((access, cells) -> table.append(row(access, cells)).append('\n'));
        Files.writeString(ChildJvm.root().resolve("target/bad-pages.md"), table);
    }
}
