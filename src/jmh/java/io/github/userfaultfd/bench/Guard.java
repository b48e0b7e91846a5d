// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.nio.file.Path;
import java.util.Locale;

/** Fails when faults in Java have become much slower than the same in C: ratios, because times say nothing on a shared machine. */
public final class Guard {
    /** On a quiet machine the ratios are about 1. */
    private static final double LIMIT = 2;

    /** Not 1, which an exception gives too. */
    private static final int TOO_SLOW = 3;

    private static final int ROUNDS = 9;
    private static final int PAGES = 16384;

    private Guard() {}

    private static boolean holds(Rounds rounds, Path program, Engine engine, int around, int pages) throws Exception {
        for (int i = 0; i < 3; i++) {
            PagedMemory.run(engine, Memory.ANONYMOUS, around, 1, pages);
        }
        double ratio = rounds.compare("guard", engine + ", " + around + " pages a fault",
                () -> PagedMemory.run(engine, Memory.ANONYMOUS, around, 1, pages), "C",
                () -> Programs.faultsInC(program, engine.inC(), Memory.ANONYMOUS, around, 1, pages), "ns/page", around).ratio();
        if (ratio > LIMIT) {
            System.err.printf(Locale.ROOT, "%s with %d pages a fault takes %.2f times as long as C, more than %.2f%n", engine,
                    around, ratio, LIMIT);
        }
        return ratio <= LIMIT;
    }

    /**
     * Exit code 3: too slow.
     *
     * @param arguments the C program
     */
    public static void main(String[] arguments) throws Exception {
        Path program = Path.of(arguments[0]);
        Rounds rounds = new Rounds(ROUNDS);
        boolean inline = holds(rounds, program, Engine.INLINE, 1, PAGES);
        boolean more = holds(rounds, program, Engine.INLINE, 16, 4 * PAGES);
        System.exit(inline && more ? 0 : TOO_SLOW);
    }
}
