// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.snapshot.DirtyTracker;
import io.github.userfaultfd.snapshot.LiveSnapshot;
import io.github.userfaultfd.snapshot.Snapshotter;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** What a region that is filled by another process refuses, and how often that process may end. */
@Timeout(300)
class PagerProcessLimitsTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int ABORTED = 128 + 6;

    /** Each byte is seven. */
    static final class Sevens implements PageLoader {
        @Override
        public void load(long offset, ByteBuffer page) {
            while (page.hasRemaining()) {
                page.put((byte) 7);
            }
        }
    }

    @Test
    void itsRegionIsNeitherTrackedNorSnapshotted() throws Exception {
        Needs.features(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE);
                PagerProcess pager = PagerProcess.start(region, Sevens.class)) {
            for (Executable each : new Executable[] {() -> DirtyTracker.start(region), () -> LiveSnapshot.begin(region),
                () -> Snapshotter.of(region).start()}) {
                String message = assertThrows(IllegalStateException.class, each).getMessage();
                assertTrue(message.contains(pager.toString()), message);
            }
            pager.prefetch(0, region.size());
            assertEquals(7, region.asByteBuffer(3 * PAGE, 1).get(0));
        }
    }

    /** Its thread would keep a JVM from ending. */
    static final class HasAThread implements PageLoader {
        HasAThread(String[] arguments) throws IOException {
            new Thread(() -> LockSupport.parkNanos(Long.MAX_VALUE)).start();
            if (arguments[0].equals("fails")) {
                throw new IOException("cannot reach what the pages come from");
            }
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            throw new IOException("meant");
        }
    }

    @Test
    void aLoaderThatCannotBeMadeIsToldAtOnce() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            UffdException e = assertThrows(UffdException.class, () -> PagerProcess.of(region, HasAThread.class, "fails")
                    .startTimeout(DEADLINE).start());
            assertEquals(Abi.ECHILD, e.errno(), e.getMessage());
            assertTrue(e.getMessage().contains("exit code 1"), e.getMessage());
        }
    }

    /** Ended by its child, because a page cannot be had. */
    static final class Ended {
        public static void main(String[] arguments) throws Exception {
            MemoryRegion region = MemoryRegion.anonymous(PAGE);
            PagerProcess pager = PagerProcess.start(region, HasAThread.class, "serves");
            System.out.println(pager.pid().orElseThrow());
            region.asByteBuffer(0, 1).get(0);
        }
    }

    @Test
    void theChildEndsWithItsParent() throws Exception {
        for (int i = 0; i < 8; i++) { // whether what the child says last is read by then is a matter of chance
            String output = new ChildJvm().run(DEADLINE, Ended.class).assertExit(128 + 9).output();
            long child = Long.parseLong(output.lines().findFirst().orElseThrow());
            Soon.assertTrue(() -> ProcessHandle.of(child).isEmpty(), () -> "process " + child + " is still there");
        }
    }

    /** It would be emptied under who copies from it. */
    @Test
    void itsRegionIsNobodysSource() throws Exception {
        try (MemoryRegion source = MemoryRegion.anonymous(4 * PAGE); MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            source.asByteBuffer(PAGE, 1).put(0, (byte) 9);
            try (Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).start()) {
                String message = assertThrows(IllegalStateException.class, () -> PagerProcess.start(source, Sevens.class))
                        .getMessage();
                assertTrue(message.contains("is the source of " + pager), message);
                assertEquals(9, region.asByteBuffer(PAGE, 1).get(0));
            }
            PagerProcess.start(source, Sevens.class).close();
            assertEquals(7, source.asByteBuffer(PAGE, 1).get(0));
        }
    }

    /** Its child is killed more often than it may end in a minute. */
    static final class Killed {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
                // By a clock that goes ahead in leaps a start takes long.
                PagerProcess pager = PagerProcess.of(region, Sevens.class).restarts(1)
                        .startTimeout(Duration.ofSeconds(Long.MAX_VALUE)).start();
                for (int kill = 1; kill <= 3; kill++) {
                    ProcessHandle.of(pager.pid().orElseThrow()).ifPresent(ProcessHandle::destroyForcibly);
                    while (pager.restarts() < kill) {
                        Thread.sleep(1);
                    }
                    System.out.println("page " + kill + ": " + region.asByteBuffer(kill * PAGE, 1).get(0));
                }
                pager.close();
            }
        }
    }

    private static ChildJvm.Result kill(String kernel) throws Exception {
        return new ChildJvm().startedBy("env",
                "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=" + kernel)
                .options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null").run(DEADLINE, Killed.class);
    }

    @Test
    void restartsAreCountedWithinAMinute() throws Exception {
        assertEquals("page 1: 7\npage 2: 7\npage 3: 7\n", kill("hasty").assertExit(0).output());
        String output = kill("this one").assertExit(ABORTED).output();
        assertTrue(output.startsWith("page 1: 7\nuserfaultfd: the pager process of the region at 0x"), output);
    }
}
