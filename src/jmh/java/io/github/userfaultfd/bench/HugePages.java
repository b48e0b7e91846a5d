// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The system's pool of huge pages: what is lacking is reserved, as root, and given back when this JVM ends. */
final class HugePages {
    /** The size of the system's default huge pages in bytes; 0 without any. */
    static final long SIZE = defaultSize();

    private static final Path POOL = Path.of("/sys/kernel/mm/hugepages/hugepages-" + SIZE / 1024 + "kB");

    /** Other users of this machine's pool wait while it is locked, as the library's tests do. */
    private static FileChannel lock;
    private static boolean givesBack;

    private HugePages() {}

    private static long defaultSize() {
        try {
            return Files.readAllLines(Path.of("/proc/meminfo")).stream().filter(each -> each.startsWith("Hugepagesize:"))
                    .mapToLong(each -> Long.parseLong(each.replaceAll("\\D", "")) * 1024).findFirst().orElse(0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sees to it that so many are free; empty, or why they cannot be had. */
    static String need(long pages) throws IOException {
        if (SIZE == 0 || !Files.isDirectory(POOL)) {
            return "this system has no huge pages";
        }
        Path number = POOL.resolve("nr_hugepages");
        if (Files.isWritable(number) && lock == null) {
            lock = FileChannel.open(number, StandardOpenOption.WRITE);
            lock.lock();
        }
        long free = read("free_hugepages");
        if (free >= pages) {
            return "";
        }
        if (lock == null) {
            return pages + " free huge pages are needed, there are " + free + ", and only root can reserve more";
        }
        long reserved = read("nr_hugepages");
        if (!givesBack) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> write(reserved)));
            givesBack = true;
        }
        write(reserved + pages - free);
        free = read("free_hugepages");
        return free >= pages ? "" : "the system gave only " + free + " free huge pages of " + pages;
    }

    private static long read(String file) throws IOException {
        return Long.parseLong(Files.readString(POOL.resolve(file)).strip());
    }

    private static void write(long number) {
        try {
            Files.writeString(POOL.resolve("nr_hugepages"), Long.toString(number));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
