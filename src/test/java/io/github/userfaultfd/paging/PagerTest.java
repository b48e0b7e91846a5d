// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.snapshot.DirtyTracker;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

@Timeout(60)
class PagerTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 200;

    @TempDir
    private Path directory;
    private Path file;
    private byte[] content;

    @BeforeEach
    void makeFile() throws IOException {
        content = new byte[(int) (PAGES * PAGE - 100)];
        new Random(1).nextBytes(content);
        file = Files.write(directory.resolve("source"), content);
    }

    private void assertSame(MemoryRegion region) {
        assertEquals(-1, region.asByteBuffer(0, content.length).mismatch(ByteBuffer.wrap(content)));
        ByteBuffer tail = region.asByteBuffer(content.length, (int) (region.size() - content.length));
        while (tail.hasRemaining()) {
            assertEquals(0, tail.get());
        }
    }

    /** The statistics once they are still: with engine THREAD a reader goes on before the thread that woke it has counted. */
    private static PagerStats settled(Pager pager) throws InterruptedException {
        PagerStats last = pager.stats();
        for (int same = 0; same < 10;) {
            Thread.sleep(10);
            PagerStats now = pager.stats();
            same = now.equals(last) ? same + 1 : 0;
            last = now;
        }
        return last;
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aFileIsPagedWhenTouched(FaultEngine engine) throws Exception {
        int descriptors = ProcessState.descriptors();
        try (MemoryRegion region = MemoryRegion.anonymous(content.length)) {
            try (Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(PAGE).start()) {
                assertEquals(content[70_000], region.asByteBuffer(70_000, 1).get(0));
                assertEquals(1, settled(pager).faults());
                assertEquals(1, settled(pager).pages());
                assertEquals(PAGE, settled(pager).bytes());
                assertEquals(1, region.residentPages(0, region.size()).cardinality());
                assertSame(region);
                assertEquals(PAGES, settled(pager).pages());
                assertEquals(PAGES, settled(pager).faults());
                assertEquals(0, settled(pager).failed());
                assertTrue(pager.engine() != FaultEngine.AUTO);
            }
            assertSame(region);
        }
        ProcessState.assertDescriptors(descriptors);
    }

    @Test
    void faultAroundFillsAlignedWindows() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(16 * PAGE).start()) {
            region.asByteBuffer(20 * PAGE, 1).get(0);
            assertEquals(16, settled(pager).pages());
            assertEquals(16, region.residentPages(16 * PAGE, 16 * PAGE).cardinality());
            region.asByteBuffer(199 * PAGE, 1).get(0);
            assertEquals(16 + 8, settled(pager).pages());
            assertEquals(2, settled(pager).faults());
        }
    }

    /** A window with a page that is there must not be filled from its start again and again. */
    @Test
    void aWindowThatIsPartlyThere() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(16 * PAGE).start()) {
            for (int page : new int[] {16, 19, 24, 31}) {
                pager.prefetch(page * PAGE, PAGE);
            }
            assertEquals(4, settled(pager).pages());
            assertSame(region);
            assertEquals(PAGES, settled(pager).pages());
            assertTrue(settled(pager).faults() < 40, pager.stats().toString());
        }
    }

    @Test
    void prefetchedAndFetchedPagesDoNotFault() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PAGE).start()) {
            pager.prefetch(PAGE - 1, 2);
            region.fetch(5 * PAGE, 10 * PAGE);
            pager.prefetch(0, 0);
            assertEquals(12, settled(pager).pages());
            for (int page : new int[] {0, 1, 5, 14}) {
                assertEquals(content[(int) (page * PAGE)], region.asByteBuffer(page * PAGE, 1).get(0));
            }
            assertEquals(0, settled(pager).faults());
            region.discard(0, PAGE);
            assertEquals(content[0], region.asByteBuffer(0, 1).get(0));
            assertEquals(1, settled(pager).faults());
            assertThrows(IndexOutOfBoundsException.class, () -> pager.prefetch(region.size(), 1));
        }
    }

    @Test
    void memoryAndZerosAndPartsOfFiles() throws Exception {
        try (MemoryRegion source = MemoryRegion.anonymous(4 * PAGE); MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            source.asByteBuffer(3 * PAGE, 1).put(0, (byte) 9);
            try (Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).start()) {
                assertEquals(9, region.asByteBuffer(3 * PAGE, 1).get(0));
                assertTrue(pager.toString().contains("memory at 0x"), pager.toString());
            }
            // Written before the start: gone.
            region.asByteBuffer(0, 1).put(0, (byte) 8);
            try (Pager pager = Pager.of(region, PageSource.zeros()).start()) {
                assertEquals(0, region.asByteBuffer(0, 1).get(0));
                assertEquals(1, settled(pager).faults());
            }
            try (Pager pager = Pager.of(region, PageSource.file(file, 2 * PAGE, 4 * PAGE)).start()) {
                assertEquals(content[(int) (2 * PAGE + 1)], region.asByteBuffer(1, 1).get(0));
                assertEquals(1, settled(pager).faults());
            }
        }
    }

    /** The eviction pattern of a cache: a page that comes and goes thousands of times, alone in a window that is there. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aPageMayComeAndGoForEver(FaultEngine engine) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(16 * PAGE).start()) {
            ByteBuffer memory = region.asByteBuffer(0, content.length);
            memory.get(0);
            for (int i = 0; i < ChildJvm.rounds(5000); i++) {
                region.discard(5 * PAGE, PAGE);
                assertEquals(content[(int) (5 * PAGE)], memory.get((int) (5 * PAGE)));
            }
            assertEquals(0, pager.stats().failed());
        }
    }

    @Test
    void sharedMemoryIsEmptyAtTheStart() throws Exception {
        try (MemoryRegion region = MemoryRegion.shared(content.length)) {
            region.asByteBuffer(0, 1).put(0, (byte) 88);
            try (Pager pager = Pager.of(region, PageSource.zeros()).start()) {
                pager.prefetch(0, region.size());
                assertEquals(0, region.asByteBuffer(0, 1).get(0));
            }
            try (Pager pager = Pager.of(region, PageSource.file(file)).start()) {
                assertSame(region);
                assertTrue(settled(pager).pages() > 0);
            }
        }
    }

    @Test
    void sharedMemoryIsPagedToo() throws Exception {
        try (MemoryRegion region = MemoryRegion.shared(content.length)) {
            try (Pager pager = Pager.of(region, PageSource.file(file)).start()) {
                assertSame(region);
                region.punchHole(0, 2 * PAGE);
                assertSame(region);
                assertTrue(settled(pager).pages() >= PAGES + 2);
            }
            assertEquals(content[5], region.asAliasByteBuffer(5, 1).get(0));
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void hugePagesArePagedWhole(FaultEngine engine) throws Exception {
        HugePages.need();
        try (MemoryRegion region = MemoryRegion.hugePages(3 * HugePages.SIZE, PageSize.of(HugePages.SIZE))) {
            byte[] bytes = new byte[(int) (2 * HugePages.SIZE + 10)]; // ends inside the last page
            new Random(2).nextBytes(bytes);
            Path huge = Files.write(directory.resolve("huge"), bytes);
            try (Pager pager = Pager.of(region, PageSource.file(huge)).engine(engine).start()) {
                assertEquals(bytes[bytes.length - 1], region.asByteBuffer(bytes.length - 1, 1).get(0));
                assertEquals(0, region.asByteBuffer(bytes.length, 1).get(0));
                assertEquals(1, settled(pager).pages());
                assertEquals(HugePages.SIZE, settled(pager).bytes());
                assertEquals(-1, region.asByteBuffer(0, bytes.length).mismatch(ByteBuffer.wrap(bytes)));
                region.fetch(0, region.size());
                assertEquals(3, settled(pager).pages());
            }
        } finally {
            HugePages.giveBack();
        }
    }

    /** Reading is all that a pager does to its source: who takes note of writes is not in the way, whoever was first. */
    @Test
    void theSourceMayBeTracked() throws Exception {
        Needs.features(Feature.PAGEFAULT_FLAG_WP);
        try (MemoryRegion source = MemoryRegion.anonymous(4 * PAGE); MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
            source.asByteBuffer(0, 4 * (int) PAGE).put(3 * (int) PAGE, (byte) 5);
            try (DirtyTracker tracker = DirtyTracker.start(source);
                    Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size())).start()) {
                assertEquals(5, region.asByteBuffer(3 * PAGE, 1).get(0));
                tracker.collect((offset, length) -> { });
                source.asByteBuffer(PAGE, 1).put(0, (byte) 6);
                assertEquals(6, region.asByteBuffer(PAGE, 1).get(0));
                List<Long> written = new ArrayList<>();
                tracker.collect((offset, length) -> written.add(offset));
                assertEquals(List.of(PAGE), written);
                assertTrue(settled(pager).faults() > 0);
            }
        }
    }

    /** Reads huge pages of a source that no process has mapped in yet. */
    static final class ColdSource {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion source = MemoryRegion.anonymous(HugePages.SIZE);
                    MemoryRegion region = MemoryRegion.hugePages(HugePages.SIZE, PageSize.of(HugePages.SIZE))) {
                source.asByteBuffer(0, 8).putLong(0, 77);
                try (Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size()))
                        .engine(FaultEngine.valueOf(arguments[0])).start()) {
                    System.out.println("reads " + region.asByteBuffer(0, 8).getLong(0) + ", retried " + pager.stats().retried());
                }
            }
        }
    }

    /** For a source that is not mapped in the kernel takes a second huge page meanwhile; there is not always one. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void noSecondHugePage(FaultEngine engine) throws Exception {
        HugePages.need();
        try {
            ChildJvm.Result result = new ChildJvm().startedBy("env",
                    "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=short")
                    .classPath(System.getProperty("java.class.path"))
                    .run(Duration.ofSeconds(60), ColdSource.class, engine.name()).assertExit(0);
            assertTrue(result.output().contains("reads 77, retried 1"), result.output());
        } finally {
            HugePages.giveBack();
        }
    }

    /** Is told that the pages are there, which they are not. */
    static final class LimitedPages {
        public static void main(String[] arguments) throws Exception {
            try (MemoryRegion region = MemoryRegion.hugePages(HugePages.SIZE, PageSize.of(HugePages.SIZE))) {
                Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.valueOf(arguments[0]))
                        .onFailure(FailurePolicy.valueOf(arguments[1])).start();
                for (Step each : new Step[] {() -> pager.prefetch(0, region.size()), pager::close}) {
                    try {
                        each.run();
                        System.out.println("returned");
                    } catch (UffdException e) {
                        System.out.println(Errno.name(e.errno()));
                    }
                }
            }
        }

        private interface Step {
            void run() throws IOException;
        }
    }

    /** With a control group's limit on huge pages the kernel says EEXIST for a page that it may not make. */
    @ParameterizedTest
    @CsvSource({"INLINE, ABORT", "INLINE, FILL", "THREAD, ABORT", "THREAD, FILL"})
    void aHugePageThatMayNotBeMadeIsNoPageThatIsThere(String engine, String policy) throws Exception {
        HugePages.need();
        try {
            ChildJvm.Result result = new ChildJvm().startedBy("env",
                    "LD_PRELOAD=" + ChildJvm.root().resolve("target/test-native/libtest_other_kernel.so"), "TEST_KERNEL=limited")
                    .classPath(System.getProperty("java.class.path"))
                    .run(Duration.ofSeconds(60), LimitedPages.class, engine, policy).assertExit(0);
            assertTrue(result.output().contains("ENOMEM\nENOMEM\n"), result.output());
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void badOptionsAreNamed() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length)) {
            PagerBuilder builder = Pager.of(region, PageSource.file(file));
            for (long bad : new long[] {0, -1, PAGE / 2, 3 * PAGE}) {
                assertTrue(assertThrows(IllegalArgumentException.class, () -> builder.faultAround(bad)).getMessage()
                        .startsWith("faultAround: " + bad));
            }
            assertThrows(NullPointerException.class, () -> builder.engine(null));
            assertThrows(NullPointerException.class, () -> builder.onClose(null));
            assertThrows(NullPointerException.class, () -> Pager.of(region, null));
            assertThrows(NullPointerException.class, () -> PageSource.file(null));
            assertThrows(IllegalArgumentException.class, () -> PageSource.file(file, 1, 10));
            assertThrows(IllegalArgumentException.class, () -> PageSource.memory(0, -1));
        }
    }

    @Test
    void sourcesThatDoNotFitAreRefusedAndNothingIsLeaked() throws Exception {
        int descriptors = ProcessState.descriptors();
        try (MemoryRegion region = MemoryRegion.anonymous((PAGES + 1) * PAGE)) {
            region.asByteBuffer(0, 1).put(0, (byte) 1);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> Pager.of(region, PageSource.file(file)).start())
                    .getMessage().contains("does not reach into the last page"));
            assertThrows(NoSuchFileException.class, () -> Pager.of(region, PageSource.file(directory.resolve("none"))).start());
            assertThrows(IllegalArgumentException.class, () -> Pager.of(region, PageSource.file(directory)).start());
            assertThrows(IllegalArgumentException.class,
                    () -> Pager.of(region, PageSource.file(file, PAGE, content.length)).start());
            assertThrows(IllegalArgumentException.class, () -> Pager.of(region, PageSource.memory(region.address(), 1)).start());
            assertEquals(Abi.ENOMEM, assertThrows(UffdException.class,
                    () -> Pager.of(region, PageSource.memory(PAGE, region.size())).start()).errno());
            assertThrows(IllegalArgumentException.class,
                    () -> Pager.of(region, PageSource.memory(region.address(), region.size())).start());
            // None of these touched the region.
            assertEquals(1, region.asByteBuffer(0, 1).get(0));
            try (Uffd other = new UffdBuilder().create()) {
                other.register(region.address(), PAGE);
                assertEquals(Abi.EBUSY,
                        assertThrows(UffdException.class, () -> Pager.of(region, PageSource.zeros()).start()).errno());
            }
            Pager.of(region, PageSource.zeros()).start().close();
        }
        ProcessState.assertDescriptors(descriptors);
    }

    @Test
    void aPagedRegionIsNoSource() throws Exception {
        try (MemoryRegion first = MemoryRegion.anonymous(4 * PAGE); MemoryRegion second = MemoryRegion.anonymous(4 * PAGE)) {
            PageSource ofFirst = PageSource.memory(first.address(), first.size());
            try (Pager pager = Pager.of(first, PageSource.zeros()).start()) {
                assertThrows(IllegalArgumentException.class, () -> Pager.of(second, ofFirst).start());
                assertThrows(IllegalStateException.class, () -> Pager.of(first, PageSource.zeros()).start());
                assertFalse(pager.toString().contains("closed"));
            }
            try (Pager pager = Pager.of(second, ofFirst).start()) {
                assertTrue(assertThrows(IllegalStateException.class, () -> Pager.of(first, PageSource.zeros()).start())
                        .getMessage().contains("is the source of " + pager));
            }
        }
    }

    @Test
    void closedMeansClosed() throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        Pager pager = Pager.of(region, PageSource.file(file)).start();
        pager.close();
        pager.close();
        assertThrows(IllegalStateException.class, pager::stats);
        assertThrows(IllegalStateException.class, () -> pager.prefetch(0, 1));
        assertTrue(pager.toString().contains("closed"));
        region.fetch(0, region.size());
        region.close();
        assertThrows(IllegalStateException.class, () -> Pager.of(region, PageSource.zeros()));
    }

    @Test
    void closingTheRegionEndsThePager() throws Exception {
        int descriptors = ProcessState.descriptors();
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        Pager pager = Pager.of(region, PageSource.file(file)).start();
        region.asByteBuffer(0, 1).get(0);
        region.close();
        assertThrows(IllegalStateException.class, pager::stats);
        pager.close();
        ProcessState.assertDescriptors(descriptors);
    }

    @Test
    void detachingLeavesNothingToRead() throws Exception {
        int descriptors = ProcessState.descriptors();
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        Pager pager = Pager.of(region, PageSource.file(file)).onClose(Close.DETACH).start();
        region.fetch(0, PAGE);
        pager.close();
        // From native code, where a late access is an error and no crash.
        assertEquals(Abi.EFAULT, assertThrows(UffdException.class, () -> region.fetch(0, 1)).errno());
        assertEquals(Abi.EFAULT, assertThrows(UffdException.class, () -> region.fetch(100 * PAGE, 1)).errno());
        region.close();
        ProcessState.assertDescriptors(descriptors);
    }

    /** Readers go over the region while it is closed by filling: no byte may ever differ from the source. */
    @Test
    void closingFillsWhileReadersRead() throws Exception {
        for (int round = 0; round < ChildJvm.rounds(30); round++) {
            try (MemoryRegion region = MemoryRegion.anonymous(content.length)) {
                AtomicBoolean stop = new AtomicBoolean();
                List<CompletableFuture<Long>> readers = new ArrayList<>();
                try (Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PAGE).start()) {
                    ByteBuffer memory = region.asByteBuffer(0, content.length);
                    for (int i = 0; i < 3; i++) {
                        Random random = new Random(i);
                        readers.add(CompletableFuture.supplyAsync(() -> {
                            long wrong = 0;
                            while (!stop.get()) {
                                int at = random.nextInt(content.length);
                                wrong += memory.get(at) == content[at] ? 0 : 1;
                            }
                            return wrong;
                        }));
                    }
                    Thread.sleep(round % 5);
                    assertEquals(0, settled(pager).failed());
                }
                stop.set(true);
                for (CompletableFuture<Long> each : readers) {
                    assertEquals(0, each.get(30, TimeUnit.SECONDS));
                }
            }
        }
    }

    /** Without a fixed window it grows while a thread goes on where its last fault ended, and stays small otherwise. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void windowsGrowOnSequentialAccessOnly(FaultEngine engine) throws Exception {
        long pages = 4096;
        try (MemoryRegion region = MemoryRegion.anonymous(pages * PAGE);
                Pager pager = Pager.of(region, PageSource.zeros()).engine(engine).start()) {
            Random random = new Random(3);
            for (int i = 0; i < 20; i++) {
                region.asByteBuffer((1 + random.nextInt((int) pages - 1)) * PAGE, 1).get(0);
            }
            PagerStats scattered = settled(pager);
            assertTrue(scattered.pages() <= 20 * Math.max(1, 32 * 1024 / PAGE), scattered.toString());
            region.discard(0, region.size());
            for (long page = 0; page < pages; page++) {
                region.asByteBuffer(page * PAGE, 1).get(0);
            }
            long faults = settled(pager).faults() - scattered.faults();
            assertTrue(faults < pages * PAGE / (256 * 1024) + 10, faults + " faults for " + pages + " pages in a row");
        }
    }

    @Test
    void severalThreadsServeOneRegion() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(FaultEngine.THREAD).threads(4).faultAround(PAGE)
                        .start()) {
            List<CompletableFuture<Void>> readers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                readers.add(CompletableFuture.runAsync(() -> assertSame(region)));
            }
            for (CompletableFuture<Void> each : readers) {
                each.get(30, TimeUnit.SECONDS);
            }
            assertEquals(PAGES, settled(pager).pages());
            assertEquals(FaultEngine.THREAD, pager.engine());
            assertThrows(IllegalArgumentException.class, () -> Pager.of(region, PageSource.zeros()).threads(0));
        }
    }

    @Test
    void inlineServesUserModeOnly() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
            assertThrows(IllegalArgumentException.class, () -> Pager.of(region, PageSource.zeros()).engine(FaultEngine.INLINE)
                    .userModeOnly(false).start());
            Needs.root();
            try (Pager pager = Pager.of(region, PageSource.zeros()).userModeOnly(false).start()) {
                assertEquals(FaultEngine.THREAD, pager.engine());
            }
            try (Pager pager = Pager.of(region, PageSource.zeros()).start()) {
                assertEquals(FaultEngine.INLINE, pager.engine());
            }
        }
    }

    @Test
    void theFlightRecorderHasItsEvents() throws Exception {
        Path recorded = directory.resolve("events.jfr");
        try (Recording recording = new Recording()) {
            recording.enable("io.github.userfaultfd.PagerStatistics").withPeriod(Duration.ofMillis(20));
            recording.start();
            try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                    Pager pager = Pager.of(region, PageSource.file(file)).start()) {
                assertSame(region);
                Thread.sleep(1500);
                assertEquals(0, pager.stats().failed());
            }
            recording.stop();
            recording.dump(recorded);
        }
        List<RecordedEvent> events = RecordingFile.readAllEvents(recorded);
        for (String name : new String[] {"PagerStarted", "PagerStatistics", "PagerClosed"}) {
            RecordedEvent event = events.stream().filter(each -> each.getEventType().getName().endsWith("." + name)
                    && each.getString("source").equals(file.toString())).reduce((a, b) -> b).orElseThrow();
            assertEquals("INLINE", event.getString("engine"));
            if (!name.equals("PagerStarted")) {
                assertEquals(PAGES * PAGE, event.getLong("bytes"));
                assertTrue(event.getLong("faults") > 0);
            }
        }
    }

    /** Also when the file goes on behind the part, and when it grows meanwhile. */
    @Test
    void whatFollowsThePartIsZeros() throws Exception {
        int part = (int) (2 * PAGE + 100);
        try (MemoryRegion region = MemoryRegion.anonymous(part);
                Pager pager = Pager.of(region, PageSource.file(file, PAGE, part)).start();
                MemoryRegion whole = MemoryRegion.anonymous(content.length + 5);
                Pager other = Pager.of(whole, PageSource.file(Files.write(directory.resolve("grows"),
                        Arrays.copyOf(content, content.length - 5)))).start()) {
            Files.write(directory.resolve("grows"), new byte[] {1, 2, 3}, StandardOpenOption.APPEND);
            for (int i = 0; i < region.size(); i++) {
                assertEquals(i < part ? content[(int) PAGE + i] : 0, region.asByteBuffer(i, 1).get(0), "at " + i);
            }
            assertEquals(content[content.length - 6], whole.asByteBuffer(content.length - 6L, 1).get(0));
            assertEquals(0, whole.asByteBuffer(content.length - 5L, 1).get(0));
            pager.check();
            other.check();
        }
    }

    @Test
    void aPagerNobodyRefersToGoesOn() throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length)) {
            Pager.of(region, PageSource.file(file)).start();
            for (int i = 0; i < 5; i++) {
                System.gc();
                Thread.sleep(10);
            }
            assertSame(region);
        }
    }
}
