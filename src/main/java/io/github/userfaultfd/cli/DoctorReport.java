// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The doctor's findings for people and for programs. */
final class DoctorReport {
    private DoctorReport() {}

    static void text(Map<String, List<Finding>> sections, PrintStream out) {
        sections.forEach((title, findings) -> {
            out.println(title);
            int width = findings.stream().mapToInt(each -> each.name().length()).max().orElse(0);
            for (Finding each : findings) {
                String sign = switch (each.answer()) {
                    case YES -> "+";
                    case NO -> "-";
                    case INFO -> " ";
                };
                out.printf("  %s %-" + width + "s  %s%n", sign, each.name(), each.found());
                if (!each.remedy().isEmpty()) {
                    out.printf("    %" + width + "s  remedy: %s%n", "", each.remedy());
                }
            }
            out.println();
        });
        out.println(Doctor.works(sections) ? "Paging works here." : "Paging does not work here: " + reason(sections));
    }

    /** The first thing that is missing on the way to a page. */
    private static String reason(Map<String, List<Finding>> sections) {
        List<Finding> library = sections.get("Native library");
        return sections.containsKey(Doctor.SELF_TEST) && library.stream().allMatch(Finding::isYes)
                ? sections.get("Opening a userfaultfd").stream().anyMatch(Finding::isYes)
                        ? "a userfaultfd opens, but the self-test fails" : "no userfaultfd can be opened"
                : "the native library cannot be loaded";
    }

    static void json(Map<String, List<Finding>> sections, PrintStream out) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text).setPrettyPrinter(new DefaultPrettyPrinter())) {
            json.writeStartObject();
            json.writeBooleanField("works", Doctor.works(sections));
            for (Map.Entry<String, List<Finding>> section : sections.entrySet()) {
                json.writeArrayFieldStart(section.getKey());
                for (Finding each : section.getValue()) {
                    json.writeStartObject();
                    json.writeStringField("name", each.name());
                    json.writeStringField("answer", each.answer().name().toLowerCase(Locale.ROOT));
                    json.writeStringField("found", each.found());
                    if (!each.remedy().isEmpty()) {
                        json.writeStringField("remedy", each.remedy());
                    }
                    json.writeEndObject();
                }
                json.writeEndArray();
            }
            json.writeEndObject();
        }
        out.println(text);
    }
}
