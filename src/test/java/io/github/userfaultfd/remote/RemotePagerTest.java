// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The faults are raised by native code of this JVM ({@code region.fetch}), which holds up no safepoint. */
@Timeout(60)
class RemotePagerTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 256;
    private static final int FEW = 8;
    private static final long OFFSET = 1 << 20;

    @TempDir
    private Path directory;
    private MemoryRegion region;
    private Uffd uffd;
    private int descriptorsBefore;

    @BeforeEach
    void register() throws Exception {
        UffdSocket.listenAbstract("warm-up-" + System.nanoTime()).close();
        descriptorsBefore = ProcessState.descriptors();
        region = MemoryRegion.anonymous(PAGES * PAGE);
        uffd = new UffdBuilder().closeOnExec(true).create();
        uffd.register(region.address(), region.size());
    }

    @AfterEach
    void nothingIsLeaked() {
        region.close();
        uffd.close();
        ProcessState.assertDescriptors(descriptorsBefore);
    }

    private static long word(long offset) {
        return offset * 0x9E3779B97F4A7C15L | 1;
    }

    /** Every eight bytes tell where they belong. */
    private static void fill(long offset, ByteBuffer page) {
        while (page.hasRemaining()) {
            page.putLong(word(offset + page.position()));
        }
    }

    /** Loads runs of pages. */
    private static class Runs implements PageLoader {
        private final int bytes;

        Runs(int pages) {
            bytes = pages * (int) PAGE;
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            fill(offset, page);
        }

        @Override
        public int runBytes() {
            return bytes;
        }
    }

    private ServedProcess serve(RemotePager pager) throws IOException {
        return pager.serve(uffd, -1, "this one", List.of(new RemoteMapping(region.address(), region.size(), OFFSET, PAGE)));
    }

    private void assertRight(int page) throws IOException {
        region.fetch(page * PAGE, PAGE);
        ByteBuffer bytes = region.asByteBuffer(page * PAGE, (int) PAGE);
        for (int at = 0; at < PAGE; at += 8) {
            assertEquals(word(OFFSET + page * PAGE + at), bytes.getLong(at), "page " + page);
        }
    }

    /** A page is there a moment before it is counted. */
    private static void assertSoon(long expected, LongSupplier actual) {
        Soon.assertEquals(expected, actual, "counted");
    }

    private void assertPattern(int page) throws IOException {
        region.fetch(page * PAGE, PAGE);
        assertEquals(LoadFailurePolicy.PATTERN, region.asByteBuffer(page * PAGE, 8).getLong(0));
    }

    /** It may be there all the same, and zeros would be wrong. */
    @Test
    void theMissingPagesOfAProcessThatCannotBeWatchedAreWhatThePolicySays() throws Exception {
        String name = "closed-" + System.nanoTime();
        try (UffdListener listener = UffdSocket.listenAbstract(name);
                RemotePager pager = RemotePager.of(RemotePagerTest::fill).onFailure(LoadFailurePolicy.FILL).start()) {
            UffdSocket client = UffdSocket.connectAbstract(name, Duration.ofSeconds(10));
            client.close();
            assertThrows(ClosedChannelException.class, () -> pager.serve(uffd, client,
                    List.of(new RemoteMapping(region.address(), region.size(), OFFSET, PAGE))));
            assertPattern(3);
            assertEquals(Set.of(), pager.served(), listener::toString);
        }
    }

    @Test
    void aPageAFault() throws Exception {
        try (RemotePager pager = RemotePager.of(RemotePagerTest::fill).start(); ServedProcess served = serve(pager)) {
            for (int page : new int[] {7, 0, 255, 8}) {
                assertRight(page);
            }
            assertSoon(4, () -> served.stats().pages());
            assertSoon(4, () -> served.stats().loads());
            assertTrue(served.stats().faults() >= 4);
            assertEquals(List.of(served), List.copyOf(pager.served()));
            assertEquals(4, served.trace().size() + (served.trace().bytes() == 4 * PAGE ? 0 : 99));
            served.finish();
            assertTrue(pager.served().isEmpty());
        }
        for (int page = 0; page < PAGES; page++) {
            assertRight(page);
        }
    }

    @Test
    void windowsAndRunsUpToWhatTheLoaderTakes() throws Exception {
        try (RemotePager pager = RemotePager.of(new Runs(8)).faultAround(16 * PAGE).start();
                ServedProcess served = serve(pager)) {
            assertRight(20);
            // From the fault on to the window's end, as far as the loader takes runs.
            assertSoon(8, () -> served.stats().pages());
            assertRight(27);
            assertSoon(8, () -> served.stats().pages());
            // Up to the page that is there, then back to the window's beginning.
            assertRight(19);
            assertSoon(12, () -> served.stats().pages());
            assertSoon(2, () -> served.stats().loads());
            assertRight(255);
            assertRight(0);
            served.finish();
            assertSoon(PAGES, () -> served.stats().pages());
        }
    }

    @Test
    void manyThreadsAndPagesThatAreThrownAwayAgain() throws Exception {
        try (RemotePager pager = RemotePager.of(new Runs(4)).workers(3).faultAround(4 * PAGE).start();
                ServedProcess served = serve(pager)) {
            long end = System.nanoTime() + 1_500_000_000L;
            List<CompletableFuture<Void>> threads = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                int seed = i;
                threads.add(CompletableFuture.runAsync(() -> {
                    java.util.SplittableRandom random = new java.util.SplittableRandom(seed);
                    try {
                        if (seed == 0) {
                            // A page goes again as soon as it has come: often while its load is not quite over.
                            while (System.nanoTime() < end) {
                                region.discard(random.nextInt(FEW) * PAGE, PAGE);
                            }
                        }
                        while (System.nanoTime() < end) {
                            region.fetch(random.nextInt(FEW) * PAGE, PAGE);
                        }
                    } catch (IOException e) {
                        throw new java.io.UncheckedIOException(e);
                    }
                }, command -> new Thread(command).start()));
            }
            for (CompletableFuture<Void> each : threads) {
                each.get(50, TimeUnit.SECONDS);
            }
            for (int page = 0; page < PAGES; page++) {
                assertRight(page);
            }
            System.out.println("thrown away and fetched: " + served.stats());
            served.finish();
        }
    }

    private static final class Bad implements PageLoader {
        static final int THROWS = 10;
        static final int ERROR = 20;
        static final int SHORT = 30;
        static final int ABSOLUTE = 40;
        static final int STALLS = 50;
        static final int STALLS_DEAF = 60;
        private final CountDownLatch released = new CountDownLatch(1);
        private final AtomicInteger interrupted = new AtomicInteger();

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            switch ((int) ((offset - OFFSET) / PAGE)) {
                case THROWS -> throw new IOException("no such page");
                case ERROR -> throw new StackOverflowError("meant");
                case SHORT -> page.putLong(1);
                case ABSOLUTE -> page.putLong(0, 1);
                case STALLS -> {
                    try {
                        Thread.sleep(Long.MAX_VALUE);
                    } catch (InterruptedException e) {
                        interrupted.incrementAndGet();
                        throw new IOException("interrupted", e);
                    }
                }
                case STALLS_DEAF -> {
                    while (released.getCount() > 0) {
                        LockSupport.parkNanos(1_000_000);
                        Thread.interrupted();
                    }
                    fill(offset, page);
                }
                default -> fill(offset, page);
            }
        }
    }

    @Test
    void aBadLoadFailsItsPageAndNoOther() throws Exception {
        List<LoadFailure> told = java.util.Collections.synchronizedList(new ArrayList<>());
        Bad loader = new Bad();
        try (RemotePager pager = RemotePager.of(loader).workers(1).loadTimeout(Duration.ofSeconds(2))
                .onFailure(LoadFailurePolicy.FILL).failureListener(failure -> {
                    told.add(failure);
                    throw new IllegalStateException("a listener that fails is logged");
                }).start(); ServedProcess served = serve(pager)) {
            for (int page : new int[] {Bad.THROWS, Bad.ERROR, Bad.SHORT, Bad.ABSOLUTE}) {
                assertPattern(page);
                assertRight(page + 1);
            }
            assertPattern(Bad.STALLS);
            assertRight(Bad.STALLS + 1);
            assertPattern(Bad.STALLS_DEAF);
            assertRight(Bad.STALLS_DEAF + 1);
            assertEquals(1, loader.interrupted.get());
            loader.released.countDown();
            assertRight(Bad.STALLS_DEAF + 2);
            assertSoon(6, () -> served.stats().failedPages());
            assertEquals(6, told.size());
            assertEquals(OFFSET + Bad.THROWS * PAGE, served.failure().orElseThrow().offset());
            assertTrue(told.get(2).toString().contains("gave 8 bytes of " + PAGE), told.get(2).toString());
            assertTrue(told.get(3).toString().contains("gave 0 bytes of " + PAGE), told.get(3).toString());
            assertTrue(told.get(4).toString().contains("longer than"), told.get(4).toString());
            assertThrows(IOException.class, served::finish);
            assertRight(200);
        }
    }

    @Test
    void aFailedPageIsPoisonedOnDemand() throws Exception {
        Needs.features(Feature.POISON);
        try (RemotePager pager = RemotePager.of(new Bad()).onFailure(LoadFailurePolicy.POISON).start();
                ServedProcess served = serve(pager)) {
            assertEquals(Abi.EFAULT, assertThrows(UffdException.class, () -> region.fetch(Bad.THROWS * PAGE, 1)).errno());
            assertRight(Bad.THROWS + 1);
            assertSoon(1, () -> served.stats().failedPages());
        }
        // Closed with pages missing: those are poisoned too.
        assertRight(Bad.THROWS + 1);
        assertEquals(Abi.EFAULT, assertThrows(UffdException.class, () -> region.fetch(200 * PAGE, 1)).errno());
    }

    @Test
    void aSlowLoadHoldsUpNobodyElse() throws Exception {
        CountDownLatch slow = new CountDownLatch(1);
        PageLoader loader = (offset, page) -> {
            if (offset == OFFSET) {
                try {
                    slow.await();
                } catch (InterruptedException e) {
                    throw new IOException(e);
                }
            }
            fill(offset, page);
        };
        try (RemotePager pager = RemotePager.of(loader).workers(2).start(); ServedProcess served = serve(pager)) {
            CompletableFuture<Void> waiting = CompletableFuture.runAsync(() -> {
                try {
                    region.fetch(0, 1);
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            for (int page = 1; page < PAGES; page++) {
                assertRight(page);
            }
            assertFalse(waiting.isDone());
            slow.countDown();
            waiting.get();
            assertRight(0);
            served.finish();
        }
    }

    /** Holds up the load of the first page until it is told what becomes of it. */
    private static final class SlowFirst implements PageLoader {
        private final CountDownLatch entered = new CountDownLatch(1);
        private final CompletableFuture<Boolean> good = new CompletableFuture<>();

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            if (offset == OFFSET) {
                entered.countDown();
                if (!good.join()) {
                    throw new IOException("no first page");
                }
            }
            fill(offset, page);
        }
    }

    private static CompletableFuture<Void> inBackground(Executable what) {
        return CompletableFuture.runAsync(() -> {
            try {
                what.execute();
            } catch (Throwable e) {
                throw new CompletionException(e);
            }
        }, command -> new Thread(command).start());
    }

    @Test
    void finishWaitsForThePagesThatFaultsAskedFor() throws Exception {
        SlowFirst loader = new SlowFirst();
        try (RemotePager pager = RemotePager.of(loader).start(); ServedProcess served = serve(pager)) {
            CompletableFuture<Void> waiting = inBackground(() -> assertRight(0));
            loader.entered.await();
            CompletableFuture<Void> finished = inBackground(served::finish);
            assertSoon(PAGES - 1, () -> served.stats().pages());
            assertThrows(TimeoutException.class, () -> finished.get(300, TimeUnit.MILLISECONDS));
            assertFalse(waiting.isDone());
            loader.good.complete(true);
            finished.get();
            waiting.get();
            assertTrue(pager.served().isEmpty());
        }
        assertRight(0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aPrefetchEndsWithTheLoadsThatItMeets(boolean good) throws Exception {
        SlowFirst loader = new SlowFirst();
        try (RemotePager pager = RemotePager.of(loader).onFailure(LoadFailurePolicy.FILL).start();
                ServedProcess served = serve(pager)) {
            CompletableFuture<Void> waiting = inBackground(() -> region.fetch(0, 1));
            loader.entered.await();
            CompletableFuture<Void> prefetched = served.prefetch(OFFSET, 2 * PAGE);
            CompletableFuture<Void> again = served.prefetch(OFFSET, PAGE);
            assertSoon(1, () -> served.stats().pages());
            assertThrows(TimeoutException.class, () -> prefetched.get(100, TimeUnit.MILLISECONDS));
            assertFalse(again.isDone());
            loader.good.complete(good);
            for (CompletableFuture<Void> each : List.of(prefetched, again)) {
                if (good) {
                    each.get();
                } else {
                    assertEquals("no first page", assertThrows(ExecutionException.class, each::get).getCause().getMessage());
                }
            }
            waiting.get();
        }
    }

    /** What waits for a load of somebody else's is told of the end, too. */
    @Test
    void aPrefetchFailsWithTheService() throws Exception {
        SlowFirst loader = new SlowFirst();
        try (RemotePager pager = RemotePager.of(loader).workers(2).onFailure(LoadFailurePolicy.FILL).start();
                ServedProcess served = serve(pager)) {
            CompletableFuture<Void> waiting = inBackground(() -> region.fetch(0, 1));
            loader.entered.await();
            CompletableFuture<Void> prefetched = served.prefetch(OFFSET, PAGE);
            assertThrows(TimeoutException.class, () -> prefetched.get(100, TimeUnit.MILLISECONDS));
            pager.served().forEach(ServedProcess::close);
            assertThrows(ExecutionException.class, prefetched::get);
            loader.good.complete(true);
            waiting.get();
        }
    }

    @ParameterizedTest
    @MethodSource
    void timeoutsCanBeLong(Duration timeout) throws Exception {
        SlowFirst loader = new SlowFirst();
        try (RemotePager pager = RemotePager.of(loader).onFailure(LoadFailurePolicy.FILL).loadTimeout(timeout)
                .retryTimeout(timeout).start(); ServedProcess served = serve(pager)) {
            CompletableFuture<Void> waiting = inBackground(() -> assertRight(0));
            loader.entered.await();
            // Looked at about five times a second.
            assertFalse(served.awaitEnd(Duration.ofMillis(700)));
            loader.good.complete(true);
            waiting.get();
            served.finish();
            assertTrue(served.awaitEnd(timeout));
        }
    }

    static Stream<Duration> timeoutsCanBeLong() {
        return Stream.of(Duration.ofNanos(Long.MAX_VALUE), Duration.ofDays(365_000), Duration.ofSeconds(Long.MAX_VALUE));
    }

    @Test
    void aTraceIsReplayed() throws Exception {
        Path file = directory.resolve("trace");
        try (RemotePager pager = RemotePager.of(new Runs(4)).start(); ServedProcess served = serve(pager)) {
            for (int page : new int[] {9, 10, 11, 100, 3}) {
                assertRight(page);
            }
            served.trace().write(file);
            served.finish();
        }
        assertEquals(List.of("userfaultfd-trace 1", OFFSET + 9 * PAGE + " " + 3 * PAGE, OFFSET + 100 * PAGE + " " + PAGE,
                OFFSET + 3 * PAGE + " " + PAGE), Files.readAllLines(file));
        nothingIsLeaked();
        register();
        TouchTrace plan = TouchTrace.read(file).add(Long.MAX_VALUE / 2, 10).add(0, PAGE);
        try (RemotePager pager = RemotePager.of(new Runs(4)).start(); ServedProcess served = serve(pager)) {
            served.prefetch(plan).get();
            assertSoon(5, () -> served.stats().prefetchedPages());
            assertEquals(0, served.stats().faults());
            for (int page : new int[] {9, 10, 11, 100, 3}) {
                assertRight(page);
            }
            assertEquals(0, served.stats().faults());
            assertRight(4);
            assertEquals(1, served.stats().faults());
            served.prefetch(OFFSET, region.size()).get();
            assertSoon(PAGES, () -> served.stats().pages());
            served.prefetch(new TouchTrace()).get();
            served.finish();
            assertThrows(ExecutionException.class, () -> served.prefetch(plan).get());
        }
    }

    @Test
    void aTraceHasFirstTouchesOnly() throws Exception {
        try (RemotePager pager = RemotePager.of(RemotePagerTest::fill).start(); ServedProcess served = serve(pager)) {
            for (int i = 0; i < 50; i++) {
                assertRight(7);
                assertRight(20);
                assertSoon(2 * i + 2, () -> served.stats().pages());
                region.discard(0, region.size());
            }
            assertEquals(2, served.trace().size());
            served.finish();
        }
    }

    /** Whoever waits for a page of a service that broke down is not left waiting, even if the page was there before. */
    @Test
    void aServiceThatBreaksDownIsAFailureOfAllPages() throws Exception {
        try (RemotePager pager = RemotePager.of(RemotePagerTest::fill).onFailure(LoadFailurePolicy.FILL).start();
                ServedProcess served = serve(pager)) {
            for (int page = 0; page < PAGES; page++) {
                assertRight(page);
            }
            assertSoon(PAGES, () -> served.stats().pages());
            region.discard(9 * PAGE, PAGE);
            served.broken(new OutOfMemoryError("meant"));
            assertPattern(9);
            assertRight(10);
            assertTrue(served.awaitEnd(Duration.ofMinutes(1)));
            assertTrue(served.failure().orElseThrow().cause().getMessage().contains("meant"));
        }
    }

    @Test
    void aPrefetchThatFailsLeavesThePageToTheFault() throws Exception {
        AtomicInteger tries = new AtomicInteger();
        PageLoader loader = (offset, page) -> {
            if (tries.incrementAndGet() == 1) {
                throw new IOException("the first time");
            }
            fill(offset, page);
        };
        try (RemotePager pager = RemotePager.of(loader).start(); ServedProcess served = serve(pager)) {
            ExecutionException e = assertThrows(ExecutionException.class, () -> served.prefetch(OFFSET, PAGE).get());
            assertEquals("the first time", e.getCause().getMessage());
            assertRight(0);
            assertTrue(served.failure().isEmpty());
            served.finish();
        }
    }

    @Test
    void badTracesAreRefused() throws Exception {
        Path file = directory.resolve("bad");
        for (String each : new String[] {"", "userfaultfd-trace 2\n", "userfaultfd-trace 1\nx 1\n", "userfaultfd-trace 1\n1\n",
            "userfaultfd-trace 1\n1 2 3\n", "userfaultfd-trace 1\n-1 2\n", "userfaultfd-trace 1\n1 0\n"}) {
            Files.writeString(file, each);
            assertTrue(assertThrows(IOException.class, () -> TouchTrace.read(file)).getMessage().contains("is not a trace"));
        }
    }

    @Test
    void badMappingsAndThisVeryProcessAreRefused() throws Exception {
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(PAGE + 1, PAGE, 0, PAGE));
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(PAGE, PAGE + 1, 0, PAGE));
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(PAGE, PAGE, 1, PAGE));
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(PAGE, PAGE, 0, 3 * PAGE));
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(PAGE, PAGE, 0, 2 * PAGE));
        assertThrows(IllegalArgumentException.class, () -> new RemoteMapping(Long.MAX_VALUE - PAGE + 1, 2 * PAGE, 0, PAGE));
        try (RemotePager pager = RemotePager.of(RemotePagerTest::fill).start()) {
            IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> pager.serve(uffd,
                    ProcessHandle.current().pid(), List.of(new RemoteMapping(region.address(), PAGE, 0, PAGE))));
            assertTrue(e.getMessage().contains("PagerProcess"), e.getMessage());
            nothingIsLeaked();
            register();
            assertThrows(IllegalArgumentException.class, () -> pager.serve(uffd, -1, "x", List.of()));
            nothingIsLeaked();
            register();
            assertThrows(IllegalArgumentException.class, () -> pager.serve(uffd, -1, "x", List.of(
                    new RemoteMapping(region.address(), 2 * PAGE, 0, PAGE),
                    new RemoteMapping(region.address() + PAGE, PAGE, 0, PAGE))));
        }
    }

    /** Closes a service that has no pidfd, with all pages missing, and tells how one of them reads. */
    static final class CannotKill {
        public static void main(String[] arguments) throws Exception {
            MemoryRegion region = MemoryRegion.anonymous(FEW * PAGE);
            Uffd uffd = new UffdBuilder().closeOnExec(true).create();
            uffd.register(region.address(), region.size());
            RemotePager pager = RemotePager.of(RemotePagerTest::fill).start();
            pager.serve(uffd, -1, "this one", List.of(new RemoteMapping(region.address(), region.size(), OFFSET, PAGE)));
            pager.close();
            CompletableFuture<Void> waiting = inBackground(() -> region.fetch(PAGE, PAGE));
            try {
                waiting.get(2, TimeUnit.SECONDS);
                System.out.println("reads " + Long.toHexString(region.asByteBuffer(PAGE, 8).getLong(0)));
            } catch (TimeoutException e) {
                System.out.println("waits");
            }
            Runtime.getRuntime().halt(0);
        }
    }

    /** Serves, is connected to by a Firecracker, and closes, while no thread can be made; and then again. */
    static final class Crowded {
        public static void main(String[] arguments) throws Exception {
            Path crowded = Path.of(System.getenv("TEST_CROWDED"));
            Path socket = crowded.resolveSibling("s");
            MemoryRegion region = MemoryRegion.anonymous(FEW * PAGE);
            Uffd uffd = new UffdBuilder().closeOnExec(true).create();
            uffd.register(region.address(), region.size());
            RemotePager pager = RemotePager.of(RemotePagerTest::fill).start();
            Semaphore refusals = new Semaphore(0);
            FirecrackerListener listener = new FirecrackerListener() {
                @Override
                public void refused(PeerCredentials peer, IOException reason) {
                    System.out.println("refused: " + reason.getMessage().split(":")[0].replaceAll("'.*'", "it"));
                    refusals.release();
                }
            };
            FirecrackerHandler handler = FirecrackerHandler.listen(socket, RemotePager.of(new Runs(1)).start(), listener);
            UffdSocket.connect(socket, Duration.ofSeconds(5)).close();
            refusals.acquire();
            Files.createFile(crowded);
            try {
                pager.serve(uffd, -1, "this one", List.of(new RemoteMapping(region.address(), region.size(), OFFSET, PAGE)));
            } catch (IOException e) {
                System.out.println("not served: " + e.getMessage().split(":")[0].replaceAll("'.*'", "it"));
            }
            System.out.println("serves " + pager.served().size());
            try {
                region.fetch(PAGE, PAGE);
                System.out.println("serves zeros " + (region.asByteBuffer(PAGE, 8).getLong(0) == 0));
            } catch (UffdException e) {
                System.out.println("serves zeros false");
            }
            UffdSocket.connect(socket, Duration.ofSeconds(5)).close();
            refusals.acquire();
            pager.close();
            Files.delete(crowded);
            UffdSocket.connect(socket, Duration.ofSeconds(5)).close();
            refusals.acquire();
            handler.close();
            System.out.println("closed");
            Runtime.getRuntime().halt(0);
        }
    }

    @Test
    void withoutThreadsNobodyWaitsForEver() throws Exception {
        Path crowded = directory.resolve("crowded");
        ChildJvm.Result result = new ChildJvm().startedBy("env",
                "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=crowded",
                "TEST_CROWDED=" + crowded).classPath(System.getProperty("java.class.path"))
                .run(Duration.ofSeconds(30), Crowded.class).assertExit(0);
        String output = result.output().lines().filter(each -> each.matches("(refused|not served|serves|closed).*"))
                .collect(Collectors.joining("\n"));
        assertEquals("""
                refused: the connection was closed without a message
                not served: no thread it
                serves 0
                serves zeros false
                refused: no thread it
                refused: the connection was closed without a message
                closed""", output);
    }

    /** Whoever is told that a prefetch failed may wait for the end that made it fail. */
    @Test
    void aPrefetchThatEndsHoldsTheEndUpForNobody() throws Exception {
        CountDownLatch loads = new CountDownLatch(1);
        RemotePager pager = RemotePager.of((offset, page) -> {
            loads.countDown();
            LockSupport.parkNanos(Long.MAX_VALUE);
            throw new IOException("interrupted");
        }).onFailure(LoadFailurePolicy.FILL).start();
        ServedProcess served = serve(pager);
        CompletableFuture<Boolean> ended = served.prefetch(OFFSET, PAGE).handle((done, failure) -> {
            try {
                return served.awaitEnd(Duration.ofSeconds(20));
            } catch (InterruptedException e) {
                return false;
            }
        });
        loads.await();
        pager.close();
        assertTrue(ended.get());
    }

    /** A process that can neither be killed nor poisoned gets the pattern, and if it cannot even get that, it waits. */
    @ParameterizedTest
    @CsvSource({"unpoisoned, reads fa17edfa17edfa17", "full, waits"})
    void noPageIsZeroInAProcessThatCannotBeKilled(String kernel, String how) throws Exception {
        ChildJvm.Result result = new ChildJvm().startedBy("env",
                "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=" + kernel)
                .classPath(System.getProperty("java.class.path")).run(Duration.ofSeconds(30), CannotKill.class).assertExit(0);
        assertTrue(result.output().endsWith("\n" + how + "\n"), result.output());
    }
}
