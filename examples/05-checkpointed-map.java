// SPDX-License-Identifier: Apache-2.0
// An off-heap hash map of 1 GiB that survives SIGKILL: written all the time, checkpointed each second, killed in the middle of it,
// and restored lazily, so that the first lookup does not wait for the other gigabyte. Linux 5.7 and newer. Arguments: the map's
// size in MiB (1024), how many checkpoints before the kill (5), and the directory for them (a temporary one), which needs room
// for twice the map and more. What each checkpoint took and how long the first lookup did is told on standard error.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/05-checkpointed-map.java 32 3 2>/dev/null
//
// prints
//
//   a map of 32 MiB, written all the time
//   3 checkpoints, then SIGKILL
//   restored lazily: nothing that was checkpointed is lost
//   the first lookup needed less than 1 % of the pages: true
//   every entry is right: true

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.Close;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.snapshot.Checkpoint;
import io.github.userfaultfd.snapshot.CheckpointInfo;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

class CheckpointedMap {
    /** Open addressing in a region: slots of a key and a value, 0 is no key. One writer; its count is in the first slot. */
    static final class OffHeapMap {
        private static final int SLOT = 2 * Long.BYTES;
        private static final int WINDOW = 1 << 30;
        private final ByteBuffer[] windows;
        private final long slots;

        OffHeapMap(MemoryRegion region) {
            slots = region.size() / SLOT;
            windows = new ByteBuffer[(int) ((region.size() - 1) / WINDOW) + 1];
            for (int i = 0; i < windows.length; i++) {
                long start = (long) i * WINDOW;
                windows[i] = region.asByteBuffer(start, (int) Math.min(WINDOW, region.size() - start));
            }
        }

        private long read(long slot, int field) {
            return windows[(int) (slot * SLOT / WINDOW)].getLong((int) (slot * SLOT % WINDOW) + field);
        }

        private void write(long slot, int field, long value) {
            windows[(int) (slot * SLOT / WINDOW)].putLong((int) (slot * SLOT % WINDOW) + field, value);
        }

        private long find(long key) {
            long hash = key * 0x9E3779B97F4A7C15L;
            long slot = 1 + Long.remainderUnsigned(hash ^ hash >>> 32, slots - 1);
            while (read(slot, 0) != 0 && read(slot, 0) != key) {
                slot = slot + 1 < slots ? slot + 1 : 1;
            }
            return slot;
        }

        void put(long key, long value) {
            long slot = find(key);
            write(slot, Long.BYTES, value);
            write(slot, 0, key);
        }

        /** The value of a key, 0 if it is not there. */
        long get(long key) {
            long slot = find(key);
            return read(slot, 0) == key ? read(slot, Long.BYTES) : 0;
        }

        long writes() {
            return read(0, 0);
        }

        void setWrites(long count) {
            write(0, 0, count);
        }

        long slots() {
            return slots;
        }
    }

    /** What is written: first each key once, then some of them again, with the number of the write as the value. */
    private static long keyOf(long write, long keys) {
        return write <= keys ? write : 1 + Long.remainderUnsigned(write * 0xD1342543DE82EF95L, keys);
    }

    private static void writer(long bytes, Path directory) throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(bytes);
        OffHeapMap map = new OffHeapMap(region);
        long keys = map.slots() / 2;
        Thread writer = new Thread(() -> {
            for (long write = 1;; write++) {
                map.put(keyOf(write, keys), write);
                map.setWrites(write);
                if (write > keys && write % 20 == 0) {
                    LockSupport.parkNanos(1_000_000); // a steady load: about 20,000 a second
                }
            }
        });
        writer.setDaemon(true);
        writer.start();
        Checkpoint checkpoint = Checkpoint.of(region, directory).open();
        for (;;) {
            long writes = map.writes();
            long start = System.nanoTime();
            long number = checkpoint.save();
            CheckpointInfo info = Checkpoint.info(directory);
            System.err.printf("checkpoint %d after %,d writes: %d ms, %s of %,d MiB in all%n", number, writes,
                    (System.nanoTime() - start) / 1_000_000, info.increments() == 0 ? "full" : "increment", info.bytes() >> 20);
            System.out.println(writes); // so many are durable now
            Thread.sleep(1000);
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("writer")) {
            writer(Long.parseLong(arguments[1]), Path.of(arguments[2]));
        }
        long bytes = (arguments.length > 0 ? Long.parseLong(arguments[0]) : 1024) << 20;
        int checkpoints = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 5;
        Path directory = arguments.length > 2 ? Path.of(arguments[2]) : Files.createTempDirectory("checkpointed-map");
        Files.createDirectories(directory);
        try {
            long durable = writeAndKill(bytes, checkpoints, directory);
            restore(bytes, durable, directory);
        } finally {
            if (arguments.length < 3) {
                delete(directory);
            }
        }
    }

    /** This program again, in a JVM of its own; how many writes it said were durable. */
    private static long writeAndKill(long bytes, int checkpoints, Path directory) throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow()));
        for (String each : ProcessHandle.current().info().arguments().orElseThrow()) {
            command.add(each);
            if (each.endsWith(".java")) {
                break;
            }
        }
        command.addAll(List.of("writer", "" + bytes, directory.toString()));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        System.out.println("a map of " + (bytes >> 20) + " MiB, written all the time");
        long durable = 0;
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
            for (int i = 0; i < checkpoints; i++) {
                durable = Long.parseLong(lines.readLine());
            }
            Thread.sleep(1005); // somewhere in the next checkpoint
        } finally {
            process.destroyForcibly().waitFor(); // SIGKILL
        }
        System.out.println(checkpoints + " checkpoints, then SIGKILL");
        return durable;
    }

    private static void restore(long bytes, long durable, Path directory) throws Exception {
        long start = System.nanoTime();
        try (MemoryRegion region = MemoryRegion.anonymous(bytes);
                Pager pager = Pager.of(region, PageSource.checkpoint(directory)).onClose(Close.DETACH).start()) {
            OffHeapMap map = new OffHeapMap(region);
            long keys = map.slots() / 2;
            long first = map.get(42);
            long milliseconds = (System.nanoTime() - start) / 1_000_000;
            long pages = pager.stats().pages();
            long all = bytes / region.pageSize();
            System.err.printf("first lookup after %d ms, with %d pages of %d there%n", milliseconds, pages, all);
            System.out.println(map.writes() >= durable && first >= 42
                    ? "restored lazily: nothing that was checkpointed is lost" : "lost: " + durable + " were durable, " + map.writes() + " are there");
            System.out.println("the first lookup needed less than 1 % of the pages: " + (pages * 100 < all));
            System.out.println("every entry is right: " + isRight(map, keys));
        }
    }

    /** The map is that of one instant: each key has the value of its last write up to the count, or of the one under way. */
    private static boolean isRight(OffHeapMap map, long keys) {
        long writes = map.writes();
        long[] expected = new long[(int) keys + 1];
        for (long write = 1; write <= writes; write++) {
            expected[(int) keyOf(write, keys)] = write;
        }
        long underWay = writes + 1;
        for (long key = 1; key <= keys; key++) {
            long value = map.get(key);
            if (value != expected[(int) key] && !(key == keyOf(underWay, keys) && value == underWay)) {
                System.out.println("key " + key + " has " + value + " and not " + expected[(int) key]);
                return false;
            }
        }
        return true;
    }

    private static void delete(Path directory) throws Exception {
        List<Path> files;
        try (Stream<Path> list = Files.list(directory)) {
            files = list.toList();
        }
        for (Path each : files) {
            Files.delete(each);
        }
        Files.delete(directory);
    }
}
