// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * The kernel's stress test: threads lock and count in random pages, a handler and racing copiers fill them, reads block and
 * poll in turn, source and destination change places after each round, and every counter is verified. The handler is in C, or
 * Java code of another JVM. {@code -Dstress.seconds} is the time for each kind of handler.
 */
@Scenario("stress")
class StressTest {
    static final long SECONDS = Long.getLong("stress.seconds", 4);

    private static final int POLL = 1;
    private static final int WRITE_PROTECT = 2;
    private static final int HANDLER_HERE = 4;
    private static final int ROUND_MS = 100;
    private static final int ROUND_DEADLINE_MS = 20_000 * ChildJvm.PATIENCE;
    private static final int START_DEADLINE_MS = 20_000 * ChildJvm.PATIENCE;
    private static final List<String> STATS = List.of("errors", "counts", "missing", "protected", "copied", "present");

    /** A handler in C takes an equal share of the time for each kind of memory. */
    @EachMemory
    void handlerInC(MemoryKind kind) throws Exception {
        try (Areas areas = new Areas(kind, false)) {
            areas.run(SECONDS * 1000 / MemoryKind.values().length, HANDLER_HERE, true);
        }
    }

    /** The handler is Java code of a JVM that inherited the descriptors; it has the memory's files, not the memory. */
    @EachMemory({MemoryKind.SHMEM, MemoryKind.HUGETLB})
    void handlerInAnotherJvm(MemoryKind kind) throws Exception {
        try (Areas areas = new Areas(kind, true)) {
            int[] pipes = new int[2];
            int child = areas.startHandler(pipes);
            try {
                areas.run(SECONDS * 1000 / 2, 0, true);
            } finally {
                Native.close(pipes[0]); // The end of its input ends it.
                int status = Faults.reap(child, START_DEADLINE_MS);
                String said = areas.read(pipes[1]);
                Native.close(pipes[1]);
                assertEquals(0, status, said);
                assertTrue(said.endsWith("done\n"), said);
                System.out.println("conformance: the other JVM: " + said.strip().replace('\n', ' '));
            }
        }
    }

    /** The test has to be able to fail: a handler that copies from the wrong place is noticed. */
    @Test
    void wrongContentIsNoticed() throws Exception {
        try (Areas areas = new Areas(MemoryKind.ANONYMOUS, false)) {
            Faults.setMemory(areas.first.at(3), areas.first.page, 0);
            AssertionError noticed = org.junit.jupiter.api.Assertions.assertThrows(AssertionError.class,
                    () -> areas.run(1, HANDLER_HERE, false));
            assertTrue(noticed.getMessage().contains("errors"), noticed::getMessage);
        }
    }

    /** Two areas of memory, a blocking and a non-blocking descriptor, and the counters. */
    private static final class Areas implements AutoCloseable {
        private final TestMemory first;
        private final TestMemory second;
        private final CoveredUffd blocking;
        private final CoveredUffd polled;
        private final RegisterMode[] modes;
        private final boolean writeProtect;
        private final long handle;

        Areas(MemoryKind kind, boolean inherited) throws IOException {
            Set<Feature> features = kind.missingAndWhatProtects();
            writeProtect = kind.canBeWriteProtected();
            modes = writeProtect ? new RegisterMode[] {RegisterMode.MISSING, RegisterMode.WRITE_PROTECT}
                    : new RegisterMode[] {RegisterMode.MISSING};
            Needs.features(features);
            int pages = kind.isHuge() ? 8 : 1024;
            first = inherited ? TestMemory.inherited(kind, pages) : TestMemory.raw(kind, pages);
            second = inherited ? TestMemory.inherited(kind, pages) : TestMemory.raw(kind, pages);
            blocking = CoveredUffd.create(new UffdBuilder(), features, !inherited);
            polled = CoveredUffd.create(new UffdBuilder().nonBlocking(true), features, !inherited);
            handle = Faults.ok(Faults.stressNew(first.address(), second.address(), first.length, first.page));
        }

        void run(long milliseconds, int flags, boolean report) throws IOException {
            long end = System.nanoTime() + milliseconds * 1_000_000;
            int rounds = 0;
            do {
                int to = 1 - rounds % 2;
                TestMemory memory = to == 0 ? first : second;
                boolean poll = rounds / 2 % 2 == 0;
                CoveredUffd uffd = poll ? polled : blocking;
                memory.release();
                uffd.register(memory, modes);
                int all = flags | (poll ? POLL : 0) | (writeProtect ? WRITE_PROTECT : 0);
                assertEquals(0, Faults.stressRound(handle, to, uffd.fd(), all, ROUND_MS, ROUND_DEADLINE_MS),
                        () -> "the round hangs: " + stats());
                uffd.unregister(memory);
                assertEquals(0, Faults.stressVerify(handle, to), () -> "pages with a wrong counter; " + stats());
                rounds++;
            } while (System.nanoTime() < end);
            assertEquals(0, Faults.stressStat(handle, 0), this::stats);
            if (report) {
                System.out.println("conformance: stress, " + first.kind
                        + (flags == 0 ? ", handler in another JVM" : ", handler in C")
                        + ": " + rounds + " rounds, " + stats());
            }
        }

        private String stats() {
            List<String> parts = new ArrayList<>();
            for (int i = 0; i < STATS.size(); i++) {
                parts.add(STATS.get(i) + " " + Faults.stressStat(handle, i));
            }
            return String.join(", ", parts);
        }

        /** The other JVM; returns when it is ready. */
        int startHandler(int[] pipes) {
            List<String> command = new ChildJvm().options("-Xmx64m", "-Dproject.root=" + ChildJvm.root())
                    .classPath(System.getProperty("java.class.path"))
                    .command(StressHandlerMain.class.getName(), Integer.toString(polled.fd()), Integer.toString(blocking.fd()),
                            Integer.toString(first.fd()), Integer.toString(second.fd()), Long.toString(first.address()),
                            Long.toString(second.address()), Long.toString(first.length), Integer.toString(first.page));
            int child = (int) Faults.ok(Faults.spawn(command.toArray(new String[0]), pipes));
            String said = readLine(pipes[1]);
            if (!said.equals("ready")) {
                Faults.reap(child, 0);
                throw new AssertionError("the other JVM did not start: " + said + read(pipes[1]));
            }
            return child;
        }

        private static String readLine(int fd) {
            StringBuilder line = new StringBuilder();
            for (int next = Faults.readByte(fd); next >= 0 && next != '\n'; next = Faults.readByte(fd)) {
                line.append((char) next);
            }
            return line.toString();
        }

        String read(int fd) {
            StringBuilder all = new StringBuilder();
            for (int next = Faults.readByte(fd); next >= 0; next = Faults.readByte(fd)) {
                all.append((char) next);
            }
            return all.toString();
        }

        /** Closing the descriptors first ends whoever still waits for a page. */
        @Override
        public void close() {
            blocking.close();
            polled.close();
            first.close();
            second.close();
            Faults.stressFree(handle);
        }
    }
}
