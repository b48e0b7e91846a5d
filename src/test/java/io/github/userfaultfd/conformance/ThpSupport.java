// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Transparent huge pages: their size, and how much of a mapping consists of them. */
final class ThpSupport {
    static final Path DIRECTORY = Path.of("/sys/kernel/mm/transparent_hugepage");
    static final Path SIZE = DIRECTORY.resolve("hpage_pmd_size");
    private static final int HEX = 16;

    private ThpSupport() {}

    /** The size in bytes of a transparent huge page; on a kernel without any the test is skipped. */
    static long size() throws IOException {
        Ability.TRANSPARENT_HUGE_PAGES.need();
        return Long.parseLong(Files.readString(SIZE).strip());
    }

    /** Bytes of a mapping that are mapped by whole huge pages, {@code AnonHugePages} or {@code ShmemPmdMapped} of smaps. */
    static long hugeBytes(long address, String field) throws IOException {
        boolean inside = false;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] range = line.substring(0, line.indexOf(' ')).split("-");
                inside = Long.parseUnsignedLong(range[0], HEX) <= address && address < Long.parseUnsignedLong(range[1], HEX);
            } else if (inside && line.startsWith(field + ":")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
            }
        }
        throw new AssertionError("no mapping at 0x" + Long.toHexString(address) + ", or no " + field + " in smaps");
    }
}
