// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What only a power failure would tell: the order in which files are made durable, known and deleted. A library between the JVM and
 * libc writes it down.
 */
class CheckpointDurabilityTest {
    private static final Path LIBRARY = ChildJvm.root().resolve("target/test-native/libtest_durability.so");

    @TempDir
    Path directory;

    /** Saves a full checkpoint, an increment and a full one, and opens the directory again as if the oldest had been left there. */
    static final class Saver {
        public static void main(String[] arguments) throws Exception {
            Path checkpoints = Path.of(arguments[0]);
            Path journal = Path.of(arguments[1]);
            Path oldest = checkpoints.resolve("0000000001.full");
            byte[] left = new byte[0];
            try (MemoryRegion region = MemoryRegion.anonymous(4 * Ranges.PAGE)) {
                try (Checkpoint checkpoint = Checkpoint.of(region, checkpoints).increments(1).open()) {
                    for (int i = 1; i <= 3; i++) {
                        region.asByteBuffer(0, 4).putInt(0, i);
                        Files.writeString(journal, "saved " + checkpoint.save() + "\n", StandardOpenOption.APPEND);
                        left = i == 1 ? Files.readAllBytes(oldest) : left;
                    }
                }
                Files.write(oldest, left);
                Checkpoint.of(region, checkpoints).open().close();
            }
        }
    }

    @Test
    void nothingIsKnownOrDeletedTooEarly() throws Exception {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        Path checkpoints = Files.createDirectory(directory.resolve("checkpoints")).toRealPath();
        Path journal = Files.createFile(directory.resolve("journal"));
        new ChildJvm().startedBy("env", "LD_PRELOAD=" + LIBRARY, "TEST_JOURNAL=" + journal)
                .run(Duration.ofSeconds(60), Saver.class, checkpoints.toString(), journal.toString()).assertExit(0);
        String all = Files.readString(journal).replace(checkpoints.toString(), "checkpoints")
                // Nothing is written to a file any more once it is durable.
                .replaceAll("fsync (\\S+)\\.partial of (\\d+)\nrename \\1\\.partial to \\1 of \\2\n", "durable, then known: $1\n");
        assertEquals(List.of(
                "fsync checkpoints of 0",
                "durable, then known: checkpoints/0000000001.full",
                "fsync checkpoints of 0",
                "saved 1",
                "durable, then known: checkpoints/0000000002.increment",
                "fsync checkpoints of 0",
                "saved 2",
                "durable, then known: checkpoints/0000000003.full",
                "fsync checkpoints of 0",
                "unlink checkpoints/0000000001.full",
                "unlink checkpoints/0000000002.increment",
                "saved 3",
                // Whoever made the newest one known may have died before that was durable.
                "fsync checkpoints of 0",
                "unlink checkpoints/0000000001.full"),
                all.lines().filter(each -> each.startsWith("saved ") || each.contains("checkpoints")).toList());
    }
}
