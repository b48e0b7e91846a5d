// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads the file that the first argument names by the engine of the second, and says whether the memory equals the file. */
public final class PagesFile {
    private PagesFile() {}

    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        FaultEngine engine = arguments.length > 1 ? FaultEngine.valueOf(arguments[1]) : FaultEngine.AUTO;
        byte[] expected = Files.readAllBytes(file);
        try (MemoryRegion region = MemoryRegion.anonymous(expected.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).start()) {
            ByteBuffer memory = region.asByteBuffer(0, expected.length);
            boolean equal = memory.equals(ByteBuffer.wrap(expected));
            pager.check();
            System.out.println("equal: " + equal + ", by faults: " + (pager.stats().faults() > 0));
        }
    }
}
