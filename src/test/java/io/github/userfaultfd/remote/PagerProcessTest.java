// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Faults of Java code resolved by Java code of another JVM; whatever may hang runs in a child JVM that has a deadline. */
@Timeout(900)
class PagerProcessTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final Duration DEADLINE = Duration.ofSeconds(Long.getLong("userfaultfd.storm.seconds", 300));

    /** Each eight bytes tell where they belong. With an argument, collects garbage all the time. */
    static final class Words implements PageLoader {
        private final boolean busy;

        Words(String[] arguments) {
            busy = arguments.length > 0;
            if (busy) {
                collectInALoop();
            }
        }

        @Override
        public void load(long offset, ByteBuffer page) {
            byte[][] garbage = busy ? new byte[4][8192] : null;
            while (page.hasRemaining()) {
                page.putLong(word(offset + page.position()) + (garbage == null ? 0 : garbage[1][7]));
            }
        }
    }

    private static long word(long offset) {
        return offset * 0x9E3779B97F4A7C15L | 1;
    }

    private static void collectInALoop() {
        Thread collector = new Thread(() -> {
            for (;;) {
                System.gc();
                LockSupport.parkNanos(1_000_000);
            }
        });
        collector.setDaemon(true);
        collector.start();
    }

    private static boolean isRight(MemoryRegion region, long page) {
        ByteBuffer bytes = region.asByteBuffer(page * PAGE, (int) PAGE);
        return bytes.getLong(0) == word(page * PAGE) && bytes.getLong((int) PAGE - 8) == word(page * PAGE + PAGE - 8);
    }

    /** Many faults by eight threads, a collector in a loop in both JVMs, and children killed now and then. */
    static final class Storm {
        private static final int READERS = 8;

        public static void main(String[] arguments) throws Exception {
            long wanted = Long.parseLong(arguments[0]);
            int kills = Integer.parseInt(arguments[1]);
            int pages = 2000;
            AtomicLong faults = new AtomicLong();
            AtomicLong wrong = new AtomicLong();
            collectInALoop();
            long[] recoveries = new long[kills];
            long started;
            try (MemoryRegion region = MemoryRegion.anonymous(pages * PAGE)) {
                PagerProcess pager = PagerProcess.of(region, Words.class, "busy").jvmOptions("-Xmx32m").restarts(1_000_000)
                        .start();
                started = pager.startTime().toMillis();
                try (Crew readers = new Crew()) {
                    for (int i = 0; i < READERS; i++) {
                        SplittableRandom random = new SplittableRandom(i);
                        readers.once(() -> {
                            do {
                                int page = random.nextInt(pages);
                                region.discard(page * PAGE, PAGE);
                                if (!isRight(region, page)) {
                                    wrong.incrementAndGet();
                                }
                                faults.incrementAndGet();
                            } while (faults.get() < wanted || pager.restarts() < kills);
                        });
                    }
                    SplittableRandom random = new SplittableRandom(99);
                    for (int kill = 0; kill < kills; kill++) {
                        Thread.sleep(random.nextInt(60));
                        long before = pager.restarts();
                        ProcessHandle.of(pager.pid().orElseThrow()).ifPresent(ProcessHandle::destroyForcibly);
                        while (pager.restarts() == before) {
                            Thread.sleep(1);
                        }
                        recoveries[kill] = pager.lastRecovery().toMillis();
                    }
                }
                Arrays.sort(recoveries);
                System.out.println("faults " + faults + ", restarts " + pager.restarts() + ", wrong " + wrong
                        + ", first child after " + started + " ms" + (kills == 0 ? "" : ", recovery in " + recoveries[kills / 2]
                        + " ms (median), " + recoveries[kills - 1] + " ms (longest)"));
                pager.close();
                for (long page = 0; page < pages; page++) {
                    wrong.addAndGet(isRight(region, page) ? 0 : 1);
                }
            }
            System.exit(wrong.get() == 0 && faults.get() >= wanted ? 0 : 3);
        }
    }

    private static void storm(long faults, int kills, String... options) throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx64m").options(options)
                .run(DEADLINE, Storm.class, Long.toString(faults), Integer.toString(kills)).assertExit(0);
        assertTrue(result.output().contains("wrong 0"), result.output());
        System.out.println(result.output().strip() + " in " + result.time().toMillis() + " ms");
    }

    @ParameterizedTest
    @ValueSource(strings = {"-XX:+UseSerialGC", "-XX:+UseG1GC"})
    void aStormUnderTheCollectorsOfBothEnds(String collector) throws Exception {
        storm(Long.getLong("userfaultfd.storm.faults", 5000), 0, collector);
    }

    @Test
    void aStormOnANewerJdk() throws Exception {
        ChildJvm.Result result = new ChildJvm().java(Needs.newerJava())
                .options("--enable-native-access=ALL-UNNAMED", "-XX:+UseZGC")
                .run(DEADLINE, Storm.class, "3000", "2").assertExit(0);
        assertTrue(result.output().contains("wrong 0"), result.output());
    }

    @Test
    void killedChildrenAreReplacedAndNoZeroIsSeen() throws Exception {
        storm(1000, Integer.getInteger("userfaultfd.storm.kills", 10));
    }

    /** Fails in ways that an argument names. */
    static final class Bad implements PageLoader {
        private final String how;

        Bad(String[] arguments) throws IOException {
            how = arguments[0];
            if (how.equals("constructor")) {
                throw new IOException("nothing to load from");
            }
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            if (offset == 3 * PAGE) {
                if (how.equals("exit")) {
                    Runtime.getRuntime().halt(7);
                }
                if (how.equals("short")) {
                    page.putLong(3);
                    return;
                }
                throw new IOException("page three is bad");
            }
            while (page.hasRemaining()) {
                page.putLong(word(offset + page.position()));
            }
        }
    }

    /** Reads a good page and then the bad one. */
    static final class ReadsBad {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE)) {
                PagerProcess pager = PagerProcess.of(region, Bad.class, arguments[0]).restarts(1)
                        .onFailure(LoadFailurePolicy.valueOf(arguments[1])).start();
                System.out.println("page 2 is " + (isRight(region, 2) ? "right" : "wrong"));
                System.out.println("page 3 is " + Long.toHexString(region.asByteBuffer(3 * PAGE, 8).getLong(0)));
                // The failure is told by the child a moment later.
                for (;;) {
                    try {
                        pager.check();
                        Thread.sleep(5);
                    } catch (UffdException e) {
                        System.out.println(e.getMessage());
                        break;
                    }
                }
                try {
                    pager.close();
                } catch (IOException e) {
                    System.out.println("close threw");
                }
                System.out.println("page 2 is " + (isRight(region, 2) ? "right" : "wrong"));
                System.exit(0);
            }
        }
    }

    private static ChildJvm.Result readBad(String how, LoadFailurePolicy policy) throws Exception {
        return new ChildJvm().options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null")
                .run(DEADLINE, ReadsBad.class, how, policy.name());
    }

    @ParameterizedTest
    @CsvSource({"throws, page three is bad", "short, the loader gave 8 bytes of"})
    void aPageThatCannotBeLoadedReadsAsThePatternOnDemand(String how, String why) throws Exception {
        String output = readBad(how, LoadFailurePolicy.FILL).assertExit(0).output();
        assertTrue(output.contains("page 3 is fa17edfa17edfa17"), output);
        assertTrue(output.contains("offset " + 3 * PAGE) && output.contains(why), output);
        assertTrue(output.contains("close threw\npage 2 is right"), output);
    }

    @Test
    void aPageThatCannotBeLoadedEndsTheProcess() throws Exception {
        ChildJvm.Result result = readBad("throws", LoadFailurePolicy.END).assertExit(128 + 9);
        assertTrue(result.output().contains("page three is bad"), result.output());
        assertFalse(result.output().contains("page 3"), result.output());
    }

    @Test
    void aChildThatDiesTooOftenIsAFailureOfAllMissingPages() throws Exception {
        String output = readBad("exit", LoadFailurePolicy.FILL).assertExit(0).output();
        assertTrue(output.contains("page 2 is right\npage 3 is fa17edfa17edfa17"), output);
        assertTrue(output.contains("has ended or failed to start too often"), output);
        ChildJvm.Result aborted = readBad("exit", LoadFailurePolicy.END).assertExit(128 + 6);
        assertTrue(aborted.output().contains("userfaultfd: the pager process of the region at 0x"), aborted.output());
        assertFalse(aborted.output().contains("page 3"), aborted.output());
    }

    /** Fetches as soon as the region knows of the service, which is not there yet. */
    static final class FetchesEarly {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE)) {
                RegionOwner owner = RegionOwner.of(region, region.address());
                CompletableFuture<Void> fetches = CompletableFuture.runAsync(() -> {
                    while (owner.service() == null) {
                        Thread.onSpinWait();
                    }
                    try {
                        region.fetch(3 * PAGE, PAGE);
                    } catch (IOException e) {
                        throw new java.io.UncheckedIOException(e);
                    }
                });
                PagerProcess pager = PagerProcess.start(region, Words.class);
                fetches.get();
                System.out.println("page 3 is " + (isRight(region, 3) ? "right" : "wrong"));
                pager.close();
            }
        }
    }

    @Test
    void aFetchWhileItStartsWaits() throws Exception {
        String output = new ChildJvm().run(DEADLINE, FetchesEarly.class).assertExit(0).output();
        assertTrue(output.endsWith("page 3 is right\n"), output);
    }

    /** The child's launcher reads a file that is gone after the first start. */
    @Test
    void startsThatFailArePausedBetweenAndCounted(@TempDir Path directory) throws Exception {
        Path options = Files.writeString(directory.resolve("options"), "-Dnothing=1");
        int most = 4;
        try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            PagerProcess pager = PagerProcess.of(region, Words.class).jvmOptions("@" + options).restarts(most)
                    .onFailure(LoadFailurePolicy.FILL).start();
            Files.delete(options);
            long began = System.nanoTime();
            ProcessHandle.of(pager.pid().orElseThrow()).ifPresent(ProcessHandle::destroyForcibly);
            Soon.assertTrue(() -> {
                try {
                    pager.check();
                    return false;
                } catch (UffdException e) {
                    return e.errno() == Abi.ECHILD;
                }
            }, () -> "no failure of " + pager);
            Duration took = Duration.ofNanos(System.nanoTime() - began);
            assertTrue(took.toMillis() >= (most - 1) * 200, took.toString());
            assertEquals(0, pager.restarts());
            assertThrows(UffdException.class, pager::close);
        }
    }

    /** What is missing behind a page that cannot be touched would be zeros without its pager. */
    @Test
    void aRegionThatCannotBeTouchedStaysServed() throws Exception {
        try (MemoryRegion region = MemoryRegion.shared(10 * PAGE)) {
            PagerProcess pager = PagerProcess.start(region, Words.class);
            Path memory = Path.of("/proc/self/fd/" + RegionOwner.of(region, region.address()).memoryFd());
            try (FileChannel cut = FileChannel.open(memory, StandardOpenOption.WRITE)) {
                cut.truncate(5 * PAGE);
                assertEquals(Abi.EFAULT, assertThrows(UffdException.class, pager::close).errno());
                cut.write(ByteBuffer.allocate(1), 10 * PAGE - 1);
                region.punchHole(9 * PAGE, PAGE);
            }
            pager.close();
            for (int page = 0; page < 10; page++) {
                assertTrue(isRight(region, page), "page " + page);
            }
        }
    }

    /** All pages are in place then: the exception of a region that is closed would be a lie. */
    @Test
    void fetchesWhileItCloses() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE)) {
            PagerProcess pager = PagerProcess.start(region, Words.class);
            CountDownLatch fetches = new CountDownLatch(1);
            CompletableFuture<Void> closed = CompletableFuture.runAsync(() -> {
                try {
                    fetches.await();
                    pager.close();
                } catch (IOException | InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            do {
                region.fetch(3 * PAGE, PAGE);
                fetches.countDown();
            } while (!closed.isDone());
            closed.get();
        }
    }

    /** Fetches a page that cannot be loaded, while what is told of it is read a second late. */
    static final class ToldLate {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE)) {
                PagerProcess pager = PagerProcess.of(region, Bad.class, "throws").onFailure(LoadFailurePolicy.FILL).start();
                try {
                    region.fetch(3 * PAGE, PAGE);
                    System.out.println("fetched");
                } catch (UffdException e) {
                    System.out.println("fetch threw");
                }
            }
        }
    }

    @Test
    void aFailureIsKnownBeforeItsPageIsSeen() throws Exception {
        String output = new ChildJvm().startedBy("env",
                "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=late")
                .run(DEADLINE, ToldLate.class).assertExit(0).output();
        assertTrue(output.contains("fetch threw"), output);
    }

    /** Page three takes until a file is there. */
    static final class Slow implements PageLoader {
        private final Path file;

        Slow(String[] arguments) {
            file = Path.of(arguments[0]);
        }

        @Override
        public void load(long offset, ByteBuffer page) {
            while (offset == 3 * PAGE && !Files.exists(file)) {
                LockSupport.parkNanos(1_000_000);
            }
            while (page.hasRemaining()) {
                page.putLong(word(offset + page.position()));
            }
        }
    }

    /** The first child of each loses its descriptor while it loads page three: it lives on and cannot serve. */
    static final class Breaks implements PageLoader {
        private final Path file;

        Breaks(String[] arguments) {
            file = Path.of(arguments[0]);
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            if (offset == 3 * PAGE && !Files.exists(file)) {
                Files.createFile(file);
                Native.close(Abi.CHILD_UFFD);
            }
            while (page.hasRemaining()) {
                page.putLong(word(offset + page.position()));
            }
        }
    }

    @Test
    void aChildThatCannotServeAnyMoreIsReplaced(@TempDir Path directory) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE);
                PagerProcess pager = PagerProcess.start(region, Breaks.class, directory.resolve("broken").toString())) {
            pager.prefetch(2 * PAGE, PAGE);
            region.fetch(3 * PAGE, PAGE);
            assertTrue(isRight(region, 3));
            assertEquals(1, pager.restarts());
        }
    }

    /** By fetch, from native code: a thread that waited in Java code would hold up this JVM's safepoints. */
    @Test
    void aSlowLoadHoldsUpOnlyWhoTouchesItsPage(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("go");
        try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE);
                PagerProcess pager = PagerProcess.of(region, Slow.class, file.toString()).workers(2).start()) {
            CompletableFuture<Void> waits = CompletableFuture.runAsync(() -> {
                try {
                    region.fetch(3 * PAGE, PAGE);
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            for (int page : new int[] {4, 2, 9, 0, 1, 5, 6, 7, 8}) {
                pager.prefetch(page * PAGE, PAGE);
                assertTrue(isRight(region, page));
            }
            assertFalse(waits.isDone());
            Files.createFile(file);
            waits.get();
            assertTrue(isRight(region, 3));
        }
    }

    @Test
    void aLoadThatTakesTooLongIsAFailure(@TempDir Path directory) throws Exception {
        Path never = directory.resolve("never");
        try (MemoryRegion region = MemoryRegion.anonymous(10 * PAGE)) {
            PagerProcess pager = PagerProcess.of(region, Slow.class, never.toString()).workers(2)
                    .loadTimeout(Duration.ofSeconds(2)).onFailure(LoadFailurePolicy.FILL).start();
            Soon.assertTrue(() -> {
                try {
                    region.fetch(3 * PAGE, PAGE);
                    return false;
                } catch (IOException e) {
                    return e.getMessage().contains("longer than PT2S");
                }
            }, () -> "no failure of " + pager);
            assertEquals(LoadFailurePolicy.PATTERN, region.asByteBuffer(3 * PAGE, 8).getLong(0));
            pager.prefetch(4 * PAGE, 0);
            assertThrows(UffdException.class, pager::close);
            assertTrue(isRight(region, 4));
        }
    }

    /** In this JVM: nothing faults in Java code here. */
    @Test
    void aChildThatCannotStartIsAnErrorAndNothingIsLeft() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            PagerProcess.start(region, Words.class).close();
            int descriptors = ProcessState.descriptors();
            UffdException e = assertThrows(UffdException.class, () -> PagerProcess.start(region, Bad.class, "constructor"));
            assertEquals(Abi.ECHILD, e.errno());
            assertTrue(e.getMessage().contains("(exit code 1)"), e.getMessage());
            e = assertThrows(UffdException.class, () -> PagerProcess.of(region, Words.class)
                    .startTimeout(Duration.ofMillis(5)).start());
            assertEquals(Abi.ETIMEDOUT, e.errno());
            assertThrows(IllegalArgumentException.class, () -> PagerProcess.start(region, PageLoader.class));
            assertThrows(IllegalArgumentException.class, () -> PagerProcess.of(region, Words.class)
                    .onFailure(LoadFailurePolicy.POISON));
            ProcessState.assertDescriptors(descriptors);
            PagerProcess pager = PagerProcess.start(region, Words.class);
            assertThrows(IllegalStateException.class, () -> PagerProcess.start(region, Words.class));
            pager.prefetch(0, region.size());
            assertTrue(isRight(region, 3));
            long child = pager.pid().orElseThrow();
            assertTrue(ProcessHandle.of(child).isPresent());
            pager.close();
            pager.close();
            assertFalse(ProcessHandle.of(child).isPresent());
            assertThrows(IllegalStateException.class, pager::pid);
            ProcessState.assertDescriptors(descriptors);
        }
    }

    @Test
    void timeoutsCanBeLong() throws Exception {
        for (Duration timeout : new Duration[] {Duration.ofNanos(Long.MAX_VALUE), Duration.ofSeconds(Long.MAX_VALUE)}) {
            try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE);
                    PagerProcess pager = PagerProcess.of(region, Words.class).startTimeout(timeout).loadTimeout(timeout).start()) {
                pager.prefetch(0, region.size());
                assertTrue(isRight(region, 3));
            }
        }
    }

    private static long resident(MemoryRegion region) {
        try {
            return region.residentPages(0, region.size()).cardinality();
        } catch (UffdException e) {
            throw new AssertionError(e);
        }
    }

    /** What was there before is gone, whatever the memory; nothing faults in Java code here. */
    private static void assertServes(MemoryRegion region) throws Exception {
        try (region) {
            region.asByteBuffer(0, 8).putLong(0, -1);
            region.asByteBuffer(region.size() - 8, 8).putLong(0, -1);
            try (PagerProcess pager = PagerProcess.start(region, Words.class)) {
                pager.prefetch(0, region.pageSize());
                assertTrue(isRight(region, 0));
                pager.readAhead(0, region.size());
                int pages = (int) (region.size() / region.pageSize());
                Soon.assertEquals(pages, () -> resident(region), "pages in place");
                for (long page = 0; page < region.size() / PAGE; page++) {
                    assertTrue(isRight(region, page));
                }
            }
            assertTrue(isRight(region, 1));
        }
    }

    @Test
    void everyKindOfMemory() throws Exception {
        assertServes(MemoryRegion.anonymous(300 * PAGE));
        assertServes(MemoryRegion.shared(300 * PAGE));
    }

    @Test
    void hugePages() throws Exception {
        HugePages.need();
        try {
            assertServes(MemoryRegion.hugePages(5 * HugePages.SIZE, PageSize.of(HugePages.SIZE)));
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void whatATraceSaysIsLoadedAheadAsLongAsThereIsAChild() throws Exception {
        int pages = 20_000;
        TouchTrace plan = new TouchTrace();
        for (int page = pages - 2; page >= 0; page -= 2) {
            plan.add(page * PAGE, PAGE);
        }
        plan.add(pages * PAGE, PAGE);
        try (MemoryRegion region = MemoryRegion.anonymous(pages * PAGE);
                PagerProcess pager = PagerProcess.of(region, Words.class).restarts(1).start()) {
            assertThrows(IndexOutOfBoundsException.class, () -> pager.readAhead(PAGE, region.size()));
            pager.readAhead(plan);
            Soon.assertEquals(pages / 2, () -> resident(region), "pages in place");
            assertTrue(isRight(region, 10));
            ProcessHandle.of(pager.pid().orElseThrow()).ifPresent(ProcessHandle::destroyForcibly);
            pager.readAhead(0, region.size());
            pager.prefetch(0, region.size());
            for (long page = 0; page < pages; page++) {
                assertTrue(isRight(region, page));
            }
        }
    }

    @Test
    void aClosedRegionEndsTheChild() throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(4 * PAGE);
        PagerProcess pager = PagerProcess.start(region, Words.class);
        long child = pager.pid().orElseThrow();
        region.close();
        assertFalse(ProcessHandle.of(child).isPresent());
        pager.close();
    }

    /** Tells its child's number and stays. */
    static final class Stays {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
                PagerProcess pager = PagerProcess.start(region, Words.class);
                Files.writeString(Path.of(arguments[0]), pager.pid().orElseThrow() + "\n");
                Thread.sleep(DEADLINE.toMillis());
            }
        }
    }

    @Test
    void aChildDoesNotOutliveItsParent() throws Exception {
        Path file = Files.createTempFile("child", ".pid");
        Process parent = new ProcessBuilder(new ChildJvm().command(Stays.class.getName(), file.toString())).inheritIO().start();
        try {
            while (!Files.readString(file).endsWith("\n")) {
                assertTrue(parent.isAlive());
                Thread.sleep(10);
            }
            long child = Long.parseLong(Files.readString(file).strip());
            assertTrue(ProcessHandle.of(child).isPresent());
            parent.destroyForcibly().waitFor();
            Soon.assertTrue(() -> !ProcessHandle.of(child).map(ProcessHandle::isAlive).orElse(false), () -> child + " lives on");
        } finally {
            parent.destroyForcibly().waitFor();
            Files.delete(file);
        }
    }
}
