// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.github.userfaultfd.cli.Main;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Mounts;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** {@code doctor --json}. */
class DoctorForProgramsTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    /** The whole answer; each finding with what its fields say. */
    private record Report(List<Boolean> works, List<String> sections, List<Map<String, String>> findings) {
        static Report of(ChildJvm child, int exit) throws Exception {
            Report report = new Report(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
            report.read(child.run(DEADLINE, Main.class, "doctor", "--json").assertExit(exit).output());
            return report;
        }

        private void read(String output) throws IOException {
            try (JsonParser json = new JsonFactory().createParser(output)) {
                for (JsonToken each = json.nextToken(); each != null; each = json.nextToken()) {
                    switch (each) {
                        case VALUE_TRUE, VALUE_FALSE -> {
                            assertEquals("works", json.currentName());
                            works.add(json.getBooleanValue());
                        }
                        case START_ARRAY -> sections.add(json.currentName());
                        case START_OBJECT -> {
                            if (!Objects.equals(json.currentName(), "sections")) {
                                findings.add(new HashMap<>());
                            }
                        }
                        case VALUE_NUMBER_INT -> assertEquals("version 1", json.currentName() + " " + json.getIntValue());
                        case VALUE_STRING -> findings.get(findings.size() - 1).put(json.currentName(), json.getText());
                        default -> { }
                    }
                }
            }
            assertEquals(Map.of(), findings.remove(0), "the report itself");
        }

        Map<String, String> finding(String name) {
            return findings.stream().filter(each -> each.get("name").equals(name)).findFirst().orElseThrow();
        }
    }

    @Test
    void whereAllIsThere() throws Exception {
        Report report = Report.of(new ChildJvm(), 0);
        assertEquals(List.of(true), report.works());
        assertEquals(List.of("system", "process", "library", "opening", "features", "ioctls", "memory", "self_test"), report.sections());
        assertTrue(report.findings().size() > 40, report::toString);
        for (Map<String, String> each : report.findings()) {
            assertNotNull(each.get("name"), report::toString);
            assertTrue(Set.of("yes", "no", "info").contains(each.get("answer")), report::toString);
            assertFalse(each.get("found").isEmpty(), report::toString);
        }
        assertEquals(Map.of("name", "paging of anonymous memory, THREAD", "answer", "yes", "found", "every byte of 64 pages right"),
                report.finding("paging of anonymous memory, THREAD"));
    }

    @Test
    void whereNoUserfaultfdCanBeOpened() throws Exception {
        Mounts.needed();
        String launcher = ChildJvm.root().resolve("target/test-native/seccomp_launcher").toString();
        Report report = Report.of(new ChildJvm().startedBy(launcher, "1", "--no-device"), 1);
        assertEquals(List.of(false), report.works());
        assertEquals(Map.of("name", "the system call, user mode only", "answer", "no",
                "found", "EPERM, a seccomp filter forbids it, as Docker's default profile does",
                "remedy", "a profile that allows userfaultfd, or give the container /dev/userfaultfd"),
                report.finding("the system call, user mode only"));
        assertEquals(Map.of("name", "paging", "answer", "no",
                "found", "nothing to try it with: no userfaultfd can be opened, see above"), report.finding("paging"));
    }
}
