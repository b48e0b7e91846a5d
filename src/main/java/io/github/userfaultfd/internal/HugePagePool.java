// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The huge pages of one size that this system keeps, Documentation/admin-guide/mm/hugetlbpage.rst of the kernel. */
public final class HugePagePool {
    private static final Path ALL = Path.of("/sys/kernel/mm/hugepages");

    private final Path directory;

    private HugePagePool(Path directory) {
        this.directory = directory;
    }

    /** {@return the pool of pages of so many bytes, if the kernel has such pages} */
    public static Optional<HugePagePool> of(long pageSize) {
        Path directory = ALL.resolve("hugepages-" + pageSize / 1024 + "kB");
        return Files.isDirectory(directory) ? Optional.of(new HugePagePool(directory)) : Optional.empty();
    }

    /** {@return how many of each size in bytes a new mapping can have} */
    public static SortedMap<Long, Long> availableOfEach() {
        SortedMap<Long, Long> found = new TreeMap<>();
        if (!Files.isDirectory(ALL)) {
            return found;
        }
        try (Stream<Path> sizes = Files.list(ALL)) {
            sizes.forEach(each -> found.put(Long.parseLong(each.getFileName().toString().replaceAll("\\D", "")) * 1024,
                    new HugePagePool(each).available()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return found;
    }

    /** {@return where the pool's settings are} */
    public Path directory() {
        return directory;
    }

    /** {@return how many a new mapping can have: those that are free, without those that older mappings may still touch} */
    public long available() {
        return number("free_hugepages") - number("resv_hugepages");
    }

    private long number(String file) {
        return ProcFiles.line(directory.resolve(file).toString()).map(Long::parseLong).orElse(0L);
    }
}
