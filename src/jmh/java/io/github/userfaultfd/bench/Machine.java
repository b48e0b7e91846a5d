// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.List;

/** Where and when figures were measured. */
record Machine(String processor, int processors, boolean virtual, long memoryBytes, String kernel, String jdk, String date,
        double loadBefore) {
    static Machine here() throws IOException {
        List<String> cpu = Files.readAllLines(Path.of("/proc/cpuinfo"));
        return new Machine(field(cpu, "model name", System.getProperty("os.arch")), Runtime.getRuntime().availableProcessors(),
                List.of(field(cpu, "flags", "").split(" ")).contains("hypervisor"),
                Long.parseLong(field(Files.readAllLines(Path.of("/proc/meminfo")), "MemTotal", "0").replaceAll("\\D", "")) * 1024,
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " " + System.getProperty("os.arch"),
                System.getProperty("java.vendor") + " " + Runtime.version(), LocalDate.now(ZoneOffset.UTC).toString(),
                Double.parseDouble(Files.readString(Path.of("/proc/loadavg")).split(" ")[0]));
    }

    private static String field(List<String> lines, String name, String otherwise) {
        return lines.stream().filter(each -> each.startsWith(name)).findFirst()
                .map(each -> each.substring(each.indexOf(':') + 1).strip()).orElse(otherwise);
    }

    @Override
    public String toString() {
        return processor + ", " + processors + " processors" + (virtual ? " of a virtual machine" : "") + ", "
                + (memoryBytes + (1L << 29) >> 30) + " GiB, " + kernel + ", JDK: " + jdk + ", " + date + ", load before: " + loadBefore;
    }
}
