// SPDX-License-Identifier: Apache-2.0
// Watch a region fill while it is read: each # is a piece of a file that is in memory. On a terminal it moves.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/08-residency.java
//
// prints
//
//   |................................................................|
//   |####............................................................|
//   |####.#...#...#...#...#...#...#...#...#...#...#...#...#...#...#..|
//   |################################################################|

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;

class Residency {
    private static final int PIECES = 64;
    private static final int PIECE = 1 << 16;
    private static final boolean MOVES = System.console() != null;

    private static void show(MemoryRegion region, boolean stays) throws Exception {
        if (!MOVES && !stays) {
            return;
        }
        BitSet pages = region.residentPages(0, region.size());
        StringBuilder line = new StringBuilder("|");
        int pagesOfPiece = (int) (PIECE / region.pageSize());
        for (int i = 0; i < PIECES; i++) {
            line.append(pages.get(i * pagesOfPiece) ? '#' : '.');
        }
        System.out.print((MOVES ? "\r" : "") + line + "|" + (MOVES && !stays ? "" : "\n"));
        System.out.flush();
        if (MOVES) {
            Thread.sleep(50);
        }
    }

    private static void read(MemoryRegion region, int first, int step) throws Exception {
        for (int i = first; i < PIECES; i += step) {
            region.asByteBuffer((long) i * PIECE, 1).get(0);
            show(region, false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path file = Files.write(Files.createTempFile("residency", null), new byte[PIECES * PIECE]);
        try (MemoryRegion region = MemoryRegion.anonymous(Files.size(file));
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PIECE).start()) {
            show(region, true);
            for (int i = 0; i < 4; i++) {
                region.asByteBuffer((long) i * PIECE, 1).get(0);
                show(region, false);
            }
            show(region, true);
            read(region, 5, 4);
            show(region, true);
            pager.prefetch(0, region.size());
            show(region, true);
        } finally {
            Files.delete(file);
        }
    }
}
