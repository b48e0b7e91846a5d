// SPDX-License-Identifier: Apache-2.0
package com.example;

import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Reads the file that the first argument names through page faults and says whether that gave the file's bytes. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        long start = System.nanoTime();
        SystemSupport.probe();
        long loaded = System.nanoTime();
        Path file = Path.of(arguments[0]);
        byte[] expected = Files.readAllBytes(file);
        byte[] found = new byte[expected.length];
        try (MemoryRegion region = MemoryRegion.anonymous(Math.max(1, expected.length));
                Pager pager = Pager.of(region, PageSource.file(file)).start()) {
            region.asByteBuffer(0, expected.length).get(found);
            System.out.println("equal " + Arrays.equals(expected, found) + ", by faults " + (pager.stats().faults() > 0)
                    + ", module " + (MemoryRegion.class.getModule().isNamed() ? MemoryRegion.class.getModule().getName() : "none"));
        }
        if (arguments.length > 1) {
            System.out.println("loading and the first probe took " + (loaded - start) / 1000 + " us");
        }
    }
}
