// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The doctor's findings for people and for programs. */
final class DoctorReport {
    /** Of the form of the answer for programs: counted up when something in it goes or is renamed. */
    private static final int VERSION = 1;

    private DoctorReport() {}

    static void text(Map<Doctor.Section, List<Finding>> sections, PrintStream out) {
        sections.forEach((section, findings) -> {
            out.println(section.title);
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
    private static String reason(Map<Doctor.Section, List<Finding>> sections) {
        List<Finding> library = sections.get(Doctor.Section.LIBRARY);
        return sections.containsKey(Doctor.Section.SELF_TEST) && library.stream().allMatch(Finding::isYes)
                ? sections.get(Doctor.Section.OPENING).stream().anyMatch(Finding::isYes)
                        ? "a userfaultfd opens, but the self-test fails" : "no userfaultfd can be opened"
                : "the native library cannot be loaded";
    }

    static void json(Map<Doctor.Section, List<Finding>> sections, PrintStream out) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text).setPrettyPrinter(new DefaultPrettyPrinter())) {
            json.enable(JsonWriteFeature.ESCAPE_NON_ASCII.mappedFeature()); // whatever the charset of the output is
            json.writeStartObject();
            json.writeNumberField("version", VERSION);
            json.writeBooleanField("works", Doctor.works(sections));
            json.writeObjectFieldStart("sections");
            for (Map.Entry<Doctor.Section, List<Finding>> section : sections.entrySet()) {
                json.writeArrayFieldStart(section.getKey().name().toLowerCase(Locale.ROOT));
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
            json.writeEndObject();
        }
        out.println(text);
    }
}
