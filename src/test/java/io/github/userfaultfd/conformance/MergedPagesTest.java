// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.snapshot.LiveSnapshot;
import io.github.userfaultfd.snapshot.Snapshotter;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import io.github.userfaultfd.support.Watchdog;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * The kernel's merging of same pages (KSM): {@code replace_page} in mm/ksm.c makes a new entry of the page table, without the write
 * protection of a userfaultfd.
 */
@Timeout(120)
class MergedPagesTest {
    private static final int MADV_MERGEABLE = 12;
    private static final Path KSM = Path.of("/sys/kernel/mm/ksm");
    private static final Map<String, String> AT_ONCE = Map.of("pages_to_scan", "100000", "sleep_millisecs", "1", "run", "1");
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 64;

    private Map<String, String> before = Map.of();

    private static String read(String name) throws IOException {
        return ProcFiles.line(KSM.resolve(name).toString()).orElseThrow();
    }

    private static void write(Map<String, String> values) throws IOException {
        for (Map.Entry<String, String> each : values.entrySet()) {
            Files.writeString(KSM.resolve(each.getKey()), each.getValue());
        }
    }

    @BeforeEach
    void ksm() throws IOException {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        assumeTrue(Files.exists(KSM.resolve("run")), "this kernel merges no pages");
        assumeTrue(Needs.isRoot() && Files.isWritable(KSM.resolve("run")), "only root can have pages merged at once, where /sys is writable");
        assumeTrue(ProcFiles.line(KSM.resolve("advisor_mode").toString()).orElse("[none]").contains("[none]"),
                "the kernel chooses itself how fast it merges (/sys/kernel/mm/ksm/advisor_mode)");
        before = Map.of("pages_to_scan", read("pages_to_scan"), "sleep_millisecs", read("sleep_millisecs"), "run", read("run"));
    }

    @AfterEach
    void restore() throws IOException {
        write(before);
        Watchdog.restores("", "");
    }

    /** Returns when each page was looked at twice at least: the first time its checksum is noted. */
    private static void merge() throws IOException {
        long scans = Long.parseLong(read("full_scans"));
        write(AT_ONCE);
        Soon.assertTrue(() -> {
            try {
                return Long.parseLong(read("full_scans")) >= scans + 5;
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }, () -> "the kernel does not look for pages to merge");
    }

    private static void fill(MemoryRegion region, int value) {
        ByteBuffer bytes = region.asByteBuffer(0, (int) region.size());
        while (bytes.hasRemaining()) {
            bytes.put((byte) value);
        }
    }

    @Test
    void noPageOfASnapshotIsMerged() throws Exception {
        Watchdog.restores(KSM.resolve("run").toString(), before.get("run"));
        try (MemoryRegion other = MemoryRegion.anonymous(PAGES * PAGE); MemoryRegion region = MemoryRegion.anonymous(PAGES * PAGE)) {
            // The kernel looks for pages as long as there are some to look at, and those are seen to be merged.
            fill(other, 7);
            assertEquals(0, Faults.madvise(other.address(), other.size(), MADV_MERGEABLE));
            fill(region, 1);
            assertEquals(0, Faults.madvise(region.address(), region.size(), MADV_MERGEABLE));
            try (Snapshotter snapshotter = Snapshotter.of(region).start()) {
                try (LiveSnapshot snapshot = snapshotter.begin()) {
                    merge();
                    assertTrue(Long.parseLong(read("pages_sharing")) >= PAGES / 2, "the kernel merges nothing");
                    fill(region, 2);
                    ByteBuffer image = ByteBuffer.allocateDirect((int) region.size());
                    snapshot.read(0, image);
                    for (int page = 0; page < PAGES; page++) {
                        assertEquals(1, image.get(page * (int) PAGE), "page " + page + " of the image");
                    }
                }
                List<Long> changed = new ArrayList<>();
                try (LiveSnapshot next = snapshotter.begin()) {
                    next.changed((offset, length) -> changed.add(length));
                }
                assertEquals(PAGES * PAGE, changed.stream().mapToLong(each -> each).sum());
            }
        }
    }
}
