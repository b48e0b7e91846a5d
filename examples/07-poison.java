// SPDX-License-Identifier: Apache-2.0
// Memory that fails on purpose, for trying readers: one page is poisoned, and whoever reads it meets what a broken memory module
// would give. Read it from native code or by system calls; Java code that touches it gets an InternalError, late, from the JVM.
// Linux 6.6 and newer.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/07-poison.java
//
// prints
//
//   the pages before it are fine
//   the page itself: errno 14
//   a channel that writes all of it stops before the page: true
//   the page is fine again: true

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

class Poison {
    public static void main(String[] arguments) throws Exception {
        long page = PageSize.system().bytes();
        Path file = Files.createTempFile("poison", null);
        try (MemoryRegion region = MemoryRegion.anonymous(8 * page);
                Uffd uffd = new UffdBuilder().nonBlocking(true).requireFeatures(Feature.POISON).create();
                FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            region.fetch(0, region.size());
            region.discard(5 * page, page);
            uffd.register(region.address(), region.size());
            uffd.poison(region.address() + 5 * page, page);

            region.fetch(0, 5 * page);
            System.out.println("the pages before it are fine");
            try {
                region.fetch(5 * page, page);
            } catch (UffdException e) {
                System.out.println("the page itself: errno " + e.errno());
            }
            int written = channel.write(region.asByteBuffer(0, (int) region.size()));
            System.out.println("a channel that writes all of it stops before the page: " + (written == 5 * page));

            uffd.unregister(region.address(), region.size());
            region.discard(5 * page, page);
            region.fetch(0, region.size());
            System.out.println("the page is fine again: " + (region.asByteBuffer(5 * page, 1).get(0) == 0));
        } finally {
            Files.delete(file);
        }
    }
}
