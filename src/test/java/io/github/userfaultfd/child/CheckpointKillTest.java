// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.snapshot.Checkpoint;
import io.github.userfaultfd.snapshot.CheckpointBuilder;
import io.github.userfaultfd.snapshot.Compression;
import io.github.userfaultfd.snapshot.Snapshotter;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * SIGKILL at random instants of a series of checkpoints, again and again on one directory: each time the last one that was reported
 * done is there, or a later one, and it is what the region held at its step, to the byte.
 */
class CheckpointKillTest {
    private static final int PAGES = 64;
    private static final long SIZE = PAGES * Ranges.PAGE;
    private static final int KILLS = Integer.getInteger("checkpoint.kills", 200);
    private static final int LONGEST_MILLISECONDS = 60;

    @TempDir
    Path directory;

    /** One step of the writer: its number goes into the first page, and into others that only it decides. */
    private static void step(ByteBuffer memory, long number) {
        memory.putLong(0, number);
        Random random = new Random(number);
        for (int i = random.nextInt(20); i > 0; i--) {
            int page = random.nextInt(PAGES);
            memory.putLong((int) (page * Ranges.PAGE) + 8 + 8 * random.nextInt(100), number);
        }
    }

    private static ByteBuffer whole(MemoryRegion region) {
        return region.asByteBuffer(0, (int) SIZE);
    }

    /** Goes on from the newest checkpoint and tells each number that is durable. */
    static final class Saver {
        public static void main(String[] arguments) throws Exception {
            Path directory = Path.of(arguments[0]);
            MemoryRegion region = MemoryRegion.anonymous(SIZE);
            boolean restored = arguments[1].equals("restored");
            if (restored) {
                Checkpoint.restore(directory, region);
            }
            CheckpointBuilder options = Checkpoint.of(Snapshotter.of(region).startUnchanged(restored), directory).increments(4);
            if (arguments[2].equals("compressed")) {
                options.compression(Compression.ZSTD);
            }
            Checkpoint checkpoint = options.open();
            ByteBuffer memory = whole(region);
            for (long number = memory.getLong(0) + 1;; number++) {
                step(memory, number);
                checkpoint.save();
                System.out.println(number);
            }
        }
    }

    private Process start(boolean restored, boolean compressed) throws IOException {
        return new ProcessBuilder(new ChildJvm().options("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m", "-XX:-UsePerfData")
                .command(Saver.class.getName(), directory.toString(), restored ? "restored" : "anew",
                        compressed ? "compressed" : "plain"))
                .redirectErrorStream(true).start();
    }

    /** Kills it some time after it has told its first number; the last number that it told. */
    private static long killLater(Process process, long milliseconds) throws Exception {
        AtomicLong last = new AtomicLong(-1);
        StringBuilder other = new StringBuilder();
        Thread reader = new Thread(() -> {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.matches("\\d+")) {
                        last.set(Long.parseLong(line));
                    } else {
                        other.append(line).append('\n');
                    }
                }
            } catch (IOException e) {
                other.append(e); // the pipe of a killed process may end so
            }
        });
        reader.start();
        try {
            for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); last.get() < 0;) {
                assertTrue(process.isAlive() && System.nanoTime() < end, () -> "it saved nothing: " + other);
                Thread.sleep(1);
            }
            Thread.sleep(milliseconds);
        } finally {
            process.destroyForcibly().waitFor();
            reader.join();
        }
        return last.get();
    }

    @Test
    void nothingThatWasReportedIsLost() throws Exception {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        Random random = new Random(3);
        long reported = 0;
        long seen = 0;
        int later = 0;
        ByteBuffer model = ByteBuffer.allocate((int) SIZE).order(java.nio.ByteOrder.nativeOrder());
        for (int kill = 0; kill < KILLS; kill++) {
            boolean compressed = kill % 4 == 3;
            reported = killLater(start(kill > 0 && kill % 2 == 1, compressed), random.nextInt(LONGEST_MILLISECONDS));
            try (MemoryRegion region = MemoryRegion.anonymous(SIZE)) {
                boolean lazily = kill % 3 == 0 && !Checkpoint.info(directory).compressed();
                if (lazily) {
                    Pager.of(region, PageSource.checkpoint(directory)).start().close();
                } else {
                    Checkpoint.restore(directory, region);
                }
                ByteBuffer memory = whole(region);
                long number = memory.getLong(0);
                assertTrue(number >= reported, "reported " + reported + ", restored " + number);
                later += number > reported ? 1 : 0;
                if (kill % 2 == 0) { // that child began with an empty region
                    model.clear().put(new byte[(int) SIZE]);
                    seen = 0;
                }
                while (seen < number) {
                    step(model, ++seen);
                }
                assertEquals(-1, memory.mismatch(model.clear()), "after " + number + " steps, kill " + kill);
            }
        }
        System.out.println(KILLS + " kills, " + later + " with a checkpoint that was complete and not reported yet, "
                + Files.list(directory).count() + " files left");
        assertTrue(later > 0 || KILLS < 100, "never killed between rename and report");
    }
}
