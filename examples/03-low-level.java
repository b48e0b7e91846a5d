// SPDX-License-Identifier: Apache-2.0
// The kernel's interface itself: register, read the fault, copy a page. The fault is raised from native code by fetch, so
// that Java code may resolve it; see docs/safepoints.md.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/03-low-level.java
//
// prints
//
//   MISSING read at page 3
//   42

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.memory.MemoryRegion;

class LowLevel {
    public static void main(String[] arguments) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(1 << 20);
                MemoryRegion page = MemoryRegion.anonymous(1);
                Uffd uffd = new UffdBuilder().closeOnExec(true).create()) { // closed first: the region waits for who fetches
            long pageSize = region.pageSize();
            page.asByteBuffer(0, 1).put(0, (byte) 42);
            uffd.register(region.address(), region.size());

            Thread reader = new Thread(() -> {
                try {
                    region.fetch(3 * pageSize, 1);
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            reader.start();

            Event event = uffd.readEvent().orElseThrow(); // waits: the descriptor is blocking
            if (event instanceof Event.PageFault fault) {
                long number = (fault.address() - region.address()) / pageSize;
                System.out.println(fault.kind() + (fault.write() ? " write" : " read") + " at page " + number);
                uffd.copy(fault.address(), page.address(), pageSize);
            }
            reader.join();
            System.out.println(region.asByteBuffer(3 * pageSize, 1).get(0));
        }
    }
}
