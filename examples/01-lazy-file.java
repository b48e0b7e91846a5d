// SPDX-License-Identifier: Apache-2.0
// A file becomes memory, a page at a time, when the page is touched.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/01-lazy-file.java README.md
//
// prints
//
//   first byte: #
//   pages filled: 1

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.nio.file.Files;
import java.nio.file.Path;

class LazyFile {
    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        try (MemoryRegion region = MemoryRegion.anonymous(Files.size(file));
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(region.pageSize()).start()) {
            System.out.println("first byte: " + (char) region.asByteBuffer(0, 1).get(0));
            pager.prefetch(0, 1); // it is there already: nothing to fill
            System.out.println("pages filled: " + pager.stats().pages());
        }
    }
}
