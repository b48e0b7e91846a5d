// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.support.ChildJvm;
import java.util.ArrayList;
import java.util.List;

/**
 * A short program of memory accesses and system calls for a thread or a forked child that runs no Java. Each method adds one
 * step and returns this; {@link Job#result} has the steps' results by their number from 0.
 */
final class Steps {
    /** Result of an access that raised SIGBUS because the page could not be had. */
    static final long SIGBUS = -1002;

    /** The same for a poisoned page (BUS_MCEERR_AR), on kernels that were built with CONFIG_MEMORY_FAILURE. */
    static final long SIGBUS_POISONED = -1004;

    /** Result of an access that raised SIGSEGV because the memory may not be read (SEGV_ACCERR). */
    static final long SEGV = -2002;

    /** Result of a step that was never run to its end. */
    static final long NOT_RUN = 0x1C00_0000_0000_0000L; // bits that no pagemap entry has

    /** How long a job may take; what hangs fails. */
    static final long DEADLINE_MS = 10_000L * ChildJvm.PATIENCE;

    /** How long a thread that sleeps is watched to see that it goes on sleeping. */
    static final long ASLEEP_MS = 40;

    private final List<long[]> steps = new ArrayList<>();

    /** In the order of {@code enum operation} of test_jobs.c. */
    private enum Operation {
        READ, WRITE, COMPARE, MADVISE, MUNMAP, MREMAP, MPROTECT, MAP_OVER, PAGEMAP, PIN_SHORTLY, READ_FILE, WRITE_FILE, GATE,
        CLOSE
    }

    private Steps add(Operation operation, long a, long b, long c) {
        steps.add(new long[] {operation.ordinal(), a, b, c});
        return this;
    }

    /** Reads a byte: 0 to 255. */
    Steps read(long address) {
        return add(Operation.READ, address, 0, 0);
    }

    Steps write(long address, int value) {
        return add(Operation.WRITE, address, value, 0);
    }

    /** Compares memory: 0 if equal, else 1. */
    Steps compare(long a, long b, long length) {
        return add(Operation.COMPARE, a, b, length);
    }

    Steps madvise(long address, long length, int advice) {
        return add(Operation.MADVISE, address, length, advice);
    }

    Steps munmap(long address, long length) {
        return add(Operation.MUNMAP, address, length, 0);
    }

    Steps mremap(long address, long length, long to) {
        return add(Operation.MREMAP, address, length, to);
    }

    Steps mprotect(long address, long length, int protection) {
        return add(Operation.MPROTECT, address, length, protection);
    }

    /** Puts fresh anonymous memory over a range. */
    Steps mapOver(long address, long length) {
        return add(Operation.MAP_OVER, address, length, 0);
    }

    /** Reads the page's entry of /proc/self/pagemap. */
    Steps pagemap(long address) {
        return add(Operation.PAGEMAP, address, 0, 0);
    }

    /** Pins pages without the right to write, for a moment. */
    Steps pinShortly(long address, long length) {
        return add(Operation.PIN_SHORTLY, address, length, 0);
    }

    /** read(2) from a descriptor into memory. */
    Steps readFile(int fd, long address, long length) {
        return add(Operation.READ_FILE, address, length, fd);
    }

    /** write(2) from memory to a descriptor. */
    Steps writeFile(int fd, long address, long length) {
        return add(Operation.WRITE_FILE, address, length, fd);
    }

    /** Waits until {@link Job#open} was called with this number or a higher one. */
    Steps gate(int number) {
        return add(Operation.GATE, number, 0, 0);
    }

    Steps close(int fd) {
        return add(Operation.CLOSE, fd, 0, 0);
    }

    /** Whether a step's result says that the access raised SIGBUS, for whatever reason. */
    static boolean raisedSigbus(long result) {
        return result == SIGBUS || result == SIGBUS_POISONED;
    }

    int size() {
        return steps.size();
    }

    /** Runs the steps in a thread that the JVM does not know. */
    Job start() {
        return new Job(false);
    }

    /** Runs the steps in a forked child. */
    Job fork() {
        return new Job(true);
    }

    /** Runs the steps in a thread and waits for its end. */
    List<Long> run() {
        try (Job job = start()) {
            return job.await();
        }
    }

    /** The steps under way. Closed before the memory goes that they touch; what still waits then is left to its end. */
    final class Job implements AutoCloseable {
        private static final int FACT_STEP = 0;
        private static final int FACT_THREAD = 1;
        private static final int FACT_CHILD = 2;
        private static final int FACT_STATUS = 3;

        private final long address;

        private Job(boolean forked) {
            long[] program = steps.stream().flatMapToLong(java.util.Arrays::stream).toArray();
            address = Faults.ok(Faults.start(program, forked));
        }

        /** Waits for the end and returns all results. */
        List<Long> await() {
            assertTrue(Faults.await(address, DEADLINE_MS) == 1, () -> "it hangs in step " + step() + " of " + size());
            List<Long> results = new ArrayList<>();
            for (int i = 0; i < size(); i++) {
                results.add(result(i));
            }
            return results;
        }

        /** Waits for the end; every step has to have succeeded with 0. */
        void awaitZeros() {
            List<Long> results = await();
            assertEquals(java.util.Collections.nCopies(size(), 0L), results);
        }

        boolean isFinished() {
            return Faults.await(address, 0) == 1;
        }

        /** Waits until the job's thread sleeps, looks for a while, and asserts that the job does not go on. */
        void assertAsleep() {
            awaitSleep();
            int before = step();
            assertEquals(0, Faults.await(address, ASLEEP_MS), () -> "it finished instead of waiting");
            assertEquals(before, step());
        }

        /** For a page (S), or for an event to be read (D), as proc_pid_stat(5) tells. */
        private void awaitSleep() {
            long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
            while (!isFinished() && !ProcFiles.field("/proc/self/task/" + threadId() + "/status", "State").orElse("none yet")
                    .matches("[SD].*")) {
                assertTrue(System.nanoTime() < deadline, () -> "it runs and runs in step " + step() + " of " + size());
                Thread.onSpinWait();
            }
        }

        /** Waits until so many steps are done. */
        void awaitStep(int number) throws InterruptedException {
            long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
            while (step() < number) {
                assertTrue(System.nanoTime() < deadline, () -> "it hangs in step " + step() + ", before " + number);
                Thread.sleep(1);
            }
        }

        /** The same without sleeping, for two things that have to meet. */
        void spinUntilStep(int number) {
            long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
            while (step() < number) {
                assertTrue(System.nanoTime() < deadline, () -> "it hangs in step " + step() + ", before " + number);
                Thread.onSpinWait();
            }
        }

        long result(int step) {
            return Faults.result(address, step);
        }

        /** The step that runs now. */
        int step() {
            return Faults.fact(address, FACT_STEP);
        }

        int threadId() {
            return Faults.fact(address, FACT_THREAD);
        }

        /** Waits until the thread that forked knows it: the child may have faulted by then. */
        int childPid() {
            long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
            while (Faults.fact(address, FACT_CHILD) == 0) {
                assertTrue(System.nanoTime() < deadline, "fork does not return");
                Thread.onSpinWait();
            }
            return Faults.fact(address, FACT_CHILD);
        }

        /** The child's status as waitpid(2) tells it. */
        int childStatus() {
            return Faults.fact(address, FACT_STATUS);
        }

        void open(int gate) {
            Faults.open(address, gate);
        }

        /** Interrupts its wait by a signal that does nothing. */
        void nudge() {
            Faults.ok(Faults.nudge(address));
        }

        @Override
        public void close() {
            Faults.release(address);
        }
    }
}
