// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Watchdog;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reserves huge pages for the tests when the system has too few, as root, and gives them back at the end of each class.
 * Test runs side by side wait for each other: the pages are the whole system's.
 */
public final class HugePages {
    /** What the tests use at most at one time, with the copies that private mappings make. */
    private static final long NEEDED = 40;

    /** The size of the system's default huge pages, which memfd_create(2) with MFD_HUGETLB takes; 0 without any. */
    public static final long SIZE = defaultSize();

    private static final Path POOL = Path.of("/sys/kernel/mm/hugepages/hugepages-" + SIZE / 1024 + "kB");

    private static FileChannel mine;
    private static long added;
    private static String refusal;

    private static long defaultSize() {
        try {
            return Files.readAllLines(Path.of("/proc/meminfo")).stream().filter(each -> each.startsWith("Hugepagesize:"))
                    .mapToLong(each -> Long.parseLong(each.replaceAll("\\D", "")) * 1024).findFirst().orElse(0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private HugePages() {}

    /** Whether the processor and the kernel have any. */
    static boolean areKnown() {
        return SIZE != 0 && Files.isDirectory(POOL);
    }

    /** Skips the test, with the reason, if there are no huge pages and none can be reserved. */
    public static synchronized void need() throws IOException {
        if (added == 0 && refusal == null) {
            refusal = reserve();
        }
        assumeTrue(refusal.isEmpty(), refusal);
    }

    private static String reserve() throws IOException {
        if (!areKnown()) {
            return "this system has no huge pages";
        }
        if (Needs.isRoot()) {
            mine = FileChannel.open(POOL.resolve("nr_hugepages"), StandardOpenOption.WRITE);
            mine.lock();
        }
        if (number("free_hugepages") >= NEEDED) {
            return "";
        }
        if (!Needs.isRoot()) {
            return NEEDED + " free huge pages are needed, there are " + number("free_hugepages")
                    + ", and only root can reserve more";
        }
        long before = number("nr_hugepages");
        Watchdog.restores(POOL.resolve("nr_hugepages").toString(), Long.toString(before));
        Files.writeString(POOL.resolve("nr_hugepages"), Long.toString(before + NEEDED));
        added = number("nr_hugepages") - before;
        if (number("free_hugepages") >= NEEDED) {
            return "";
        }
        String given = "the system gave " + added + " huge pages of the " + NEEDED + " that are needed";
        takeBack(); // or other tests lack the memory
        return given;
    }

    private static long number(String file) throws IOException {
        return Long.parseLong(Files.readString(POOL.resolve(file)).strip());
    }

    private static void takeBack() throws IOException {
        if (added > 0) {
            Files.writeString(POOL.resolve("nr_hugepages"), Long.toString(Math.max(0, number("nr_hugepages") - added)));
            Watchdog.restores("", "");
            added = 0;
        }
    }

    /** The number goes back to what it was; other processes may have changed it meanwhile, so only what was added is taken. */
    public static synchronized void giveBack() throws IOException {
        takeBack();
        refusal = null;
        if (mine != null) {
            mine.close();
            mine = null;
        }
    }
}
