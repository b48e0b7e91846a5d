// SPDX-License-Identifier: Apache-2.0
// What a page holds is decided by Java code when the page is touched. That code runs in a JVM of its own, because a thread that waits
// for a page in this one would keep it from every garbage collection.
//
//   javac -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' -d target/examples examples/09-pages-by-java-code.java && java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*:target/examples' PagesByJavaCode
//
// prints
//
//   the square of 3000000 is 9000000000000
//   that took another process: true
//   less than a hundredth of the squares was made: true

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PagerProcess;
import java.nio.ByteBuffer;

class PagesByJavaCode {
    /** Made in the child, by the name of its class; {@code String[]} if it wants arguments. */
    static final class Squares implements PageLoader {
        @Override
        public void load(long offset, ByteBuffer page) {
            for (long i = offset / Long.BYTES; page.hasRemaining(); i++) {
                page.putLong(i * i);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(8_000_000L * Long.BYTES);
                PagerProcess pager = PagerProcess.start(region, Squares.class)) {
            System.out.println("the square of 3000000 is " + region.asByteBuffer(3_000_000L * Long.BYTES, Long.BYTES).getLong());
            System.out.println("that took another process: " + (pager.pid().orElseThrow() != ProcessHandle.current().pid()));
            long bytes = region.residentPages(0, region.size()).cardinality() * region.pageSize();
            System.out.println("less than a hundredth of the squares was made: " + (bytes < region.size() / 100));
        }
    }
}
