// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A C program, {@code served_process.c}, changes its memory while it is served. */
@Timeout(300)
class ChangingMemoryTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 100;
    private static final long DEADLINE_SECONDS = 30L * ChildJvm.PATIENCE;

    @TempDir
    private Path directory;
    private Process process;
    private BufferedReader output;

    /** Each eight bytes tell where they are. */
    private static void fill(long offset, ByteBuffer page) {
        while (page.hasRemaining()) {
            page.putLong((offset + page.position()) * 0x9E3779B97F4A7C15L | 1);
        }
    }

    private ServedProcess start(String what, int pages, RemotePager pager) throws Exception {
        Path program = ChildJvm.root().resolve("target/test-native/served_process");
        assertTrue(Files.exists(program), () -> program + " is not there; 'make test-native' builds it");
        Path socket = directory.resolve("s");
        try (UffdListener listener = UffdSocket.listen(socket); ReceivedDescriptors received = new ReceivedDescriptors(1)) {
            process = new ProcessBuilder(program.toString(), socket.toString(), what, Integer.toString(pages))
                    .redirectError(ProcessBuilder.Redirect.INHERIT).start();
            output = process.inputReader();
            CompletableFuture.delayedExecutor(DEADLINE_SECONDS, TimeUnit.SECONDS).execute(process::destroyForcibly);
            try (UffdSocket client = listener.accept()) {
                ByteBuffer address = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder());
                assertEquals(Long.BYTES, client.receive(address, received));
                assertSays("ready");
                return pager.serve(received.takeUffd(0), client, List.of(new RemoteMapping(address.getLong(0), pages * PAGE, 0,
                        PAGE)));
            }
        }
    }

    /** Nothing, if it waited for ever. */
    private void assertSays(String what) throws IOException {
        assertEquals(what, output.readLine());
    }

    private void assertRight() throws Exception {
        assertSays("right");
        assertEquals(0, process.waitFor());
    }

    @AfterEach
    void end() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** The kernel refuses to resolve the fault until it was read that the page is given back. */
    @ParameterizedTest
    @ValueSource(strings = {"protected", "minor"})
    void aFaultAndAPageThatIsGivenBackAtOnce(String kind) throws Exception {
        Needs.features(kind.equals("minor") ? Feature.MINOR_SHMEM : Feature.PAGEFAULT_FLAG_WP);
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start();
                ServedProcess served = start(kind, PAGES, pager)) {
            assertRight();
            assertEquals(1, served.stats().removedPages());
        }
    }

    /** The thread that gives the failed page up is the one that reads events: it has to read on. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFailureWhileAPageIsGivenBack(boolean breaks) throws Exception {
        PageLoader loader = (offset, page) -> {
            if (offset == 0) {
                LockSupport.parkNanos(Long.MAX_VALUE);
            }
            fill(offset, page);
        };
        CompletableFuture<LoadFailure> told = new CompletableFuture<>();
        try (RemotePager pager = RemotePager.of(loader).loadTimeout(Duration.ofSeconds(1)).onFailure(LoadFailurePolicy.FILL)
                .failureListener(failure -> {
                    if (!told.isDone()) {
                        beginGivingBack();
                        told.complete(failure);
                        if (breaks) {
                            throw new AssertionError("meant");
                        }
                    }
                }).start(); ServedProcess served = start("fails", PAGES, pager)) {
            assertEquals(told.get(), served.failure().orElseThrow());
            assertRight();
        }
    }

    private void tellToGoOn() throws IOException {
        process.outputWriter().append('g').flush();
    }

    private void beginGivingBack() {
        try {
            tellToGoOn();
            assertSays("gives back");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Each hole that is not registered any more is a mapping of its own, and a process may have only so many. */
    @Test
    void moreHolesThanMappings() throws Exception {
        int most = Integer.parseInt(ProcFiles.line("/proc/sys/vm/max_map_count").orElseThrow());
        assumeTrue(most <= 100_000, () -> "vm.max_map_count is " + most + ", too many for a test");
        assumeTrue(ChildJvm.PATIENCE == 1 && PAGE <= 4096, "too many faults and too much memory here");
        int pages = most + 2000;
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start();
                ServedProcess served = start("holes", pages, pager)) {
            assertSays("touched");
            assertEquals(pages / 2, served.stats().removedPages());
            served.finish();
            tellToGoOn();
            assertRight();
        }
    }

    /**
     * All its pages are in place or not mapped any more: there is nothing to end it for. Nor is it ended later, by the number of a pidfd
     * that was closed and is another one's.
     */
    @Test
    void finishedWhenItHasUnmappedItsMemory() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start();
                ServedProcess served = start("unmaps", PAGES, pager)) {
            assertSays("unmapped");
            served.finish();
            int[] others = new int[8];
            for (int i = 0; i < others.length; i++) {
                others[i] = Native.pidfdOpen(process.pid());
            }
            assertFalse(served.kill());
            tellToGoOn();
            assertRight();
            assertTrue(served.failure().isEmpty(), () -> served.failure().toString());
            for (int each : others) {
                Native.close(each);
            }
        }
    }

    /** That it is unmapped where it was is told when something else may have its addresses already. */
    @Test
    void theAddressesThatWereLeftAreTakenAtOnce() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start();
                ServedProcess served = start("takes", PAGES, pager)) {
            assertRight();
            assertTrue(served.failure().isEmpty());
        }
    }

    @Test
    void aProcessThatBecameAnotherProgramIsLeftAlone() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start()) {
            start("execs", PAGES, pager);
            assertSays("another program");
        } // with pages that were never loaded
        tellToGoOn();
        assertRight();
    }

    @Test
    void aPrefetchThatReachesBeyondTheMappings() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start();
                ServedProcess served = start("waits", PAGES, pager)) {
            served.prefetch(2 * PAGE, Long.MAX_VALUE).get(DEADLINE_SECONDS, TimeUnit.SECONDS);
            assertEquals(PAGES - 2, served.stats().prefetchedPages());
            assertThrows(IndexOutOfBoundsException.class, () -> served.prefetch(-1, 2));
            assertThrows(IndexOutOfBoundsException.class, () -> served.prefetch(0, -1));
            served.finish();
            tellToGoOn();
            assertRight();
        }
    }

    @Test
    void mappingsThatMoveAndGrow() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).faultAround(8 * PAGE).start();
                ServedProcess served = start("moves", PAGES, pager)) {
            assertRight();
            assertTrue(served.failure().isEmpty());
        }
    }

    /** Nothing is loaded for what is not mapped any more, and nothing old comes to what is new. */
    @Test
    void whatHadMovedShrinksAndGrowsAndIsMovedOver() throws Exception {
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).faultAround(8 * PAGE).start();
                ServedProcess served = start("shrinks", PAGES, pager)) {
            assertSays("unmapped");
            served.finish();
            // But for page 1, which was there, 6 and 10 that others took the place of, and 5 that are unmapped and were loaded before.
            assertEquals(PAGES - 1 - 6 - 10, served.stats().pages());
            tellToGoOn();
            assertRight();
            assertTrue(served.failure().isEmpty());
        }
    }

    /** Its fault is at an address that is nobody's any more, and no reason to end the process. Linux 5.13 tells. */
    @Test
    void whoWaitsForAPageThatMovesAwayLooksAgain() throws Exception {
        Needs.features(Feature.MINOR_SHMEM);
        try (RemotePager pager = RemotePager.of(ChangingMemoryTest::fill).start(); ServedProcess served = start("is_late", PAGES, pager)) {
            assertRight();
            assertTrue(served.failure().isEmpty());
        }
    }
}
