// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PagerProcess;
import io.github.userfaultfd.snapshot.DirtyTracker;
import io.github.userfaultfd.snapshot.Snapshotter;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What must not happen when a region, its pager or its source ends while others are at it. */
@Timeout(120)
class PagerEndTest {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final byte SEVEN = 7;
    /** Takes a while to be copied. */
    private static final int LARGE = ChildJvm.rounds(16) << 20;

    @TempDir
    private Path directory;

    private Path sevens(int bytes) throws IOException {
        byte[] content = new byte[bytes];
        Arrays.fill(content, SEVEN);
        return Files.write(directory.resolve("sevens"), content);
    }

    private static void resize(Path file, long size) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(size);
        }
    }

    @Test
    void aClosedRegionIsNotTheOneThatTookItsAddresses() throws Exception {
        MemoryRegion closed = MemoryRegion.anonymous(16L * PAGE);
        closed.close();
        try (MemoryRegion region = MemoryRegion.anonymous(16L * PAGE)) {
            assumeTrue(region.address() == closed.address(), "the addresses were given to somebody else");
            region.asByteBuffer(0, 1).put(0, SEVEN);
            assertThrows(IllegalStateException.class, () -> Pager.of(closed, PageSource.zeros()));
            assertThrows(IllegalStateException.class, () -> PagerProcess.of(closed, PageLoader.class));
            assertThrows(IllegalStateException.class, () -> Snapshotter.of(closed));
            assertThrows(IllegalStateException.class, () -> DirtyTracker.start(closed));
            assertEquals(SEVEN, region.asByteBuffer(0, 1).get(0));
        }
    }

    @Test
    void theSecondMappingOfAPagedRegionIsNoSource() throws Exception {
        Path file = sevens(8 * PAGE);
        try (MemoryRegion paged = MemoryRegion.shared(8L * PAGE); MemoryRegion other = MemoryRegion.anonymous(8L * PAGE)) {
            PageSource alias = PageSource.memory(paged.aliasAddress(), paged.size());
            Pager first = Pager.of(paged, PageSource.file(file)).start();
            assertThrows(IllegalArgumentException.class, () -> Pager.of(other, alias).start());
            assertTrue(assertThrows(IllegalStateException.class, paged::aliasAddress).getMessage().contains(first.toString()));
            assertThrows(IllegalStateException.class, () -> paged.asAliasByteBuffer(0, PAGE));
            first.close();
            Pager second = Pager.of(other, alias).start();
            assertThrows(IllegalStateException.class, () -> Pager.of(paged, PageSource.zeros()).start());
            assertEquals(SEVEN, other.asByteBuffer(5L * PAGE, 1).get(0));
            second.close();
        }
    }

    @Test
    void aRegionThatWasGivenUpGetsNoOtherPager() throws Exception {
        Path file = sevens(8 * PAGE);
        try (MemoryRegion region = MemoryRegion.anonymous(8L * PAGE)) {
            Pager.of(region, PageSource.file(file)).onClose(Close.DETACH).start().close();
            for (Executable start : new Executable[] {() -> Pager.of(region, PageSource.file(file)).start(),
                () -> Snapshotter.of(region).start(), () -> DirtyTracker.start(region)}) {
                assertTrue(assertThrows(IllegalStateException.class, start).getMessage().contains("was given up"));
            }
        }
    }

    /** The first closer still fills when the region is closed. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aRegionThatClosesWaitsForItsPager(FaultEngine engine) throws Exception {
        Path file = sevens(LARGE);
        int descriptors = ProcessState.descriptors();
        for (int i = 0; i < ChildJvm.rounds(25); i++) {
            MemoryRegion region = MemoryRegion.anonymous(LARGE);
            Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).start();
            CompletableFuture<Void> closing = CompletableFuture.runAsync(region::close);
            pager.close();
            closing.join();
            assertTrue(pager.toString().endsWith("closed]"), pager.toString());
        }
        ProcessState.assertDescriptors(descriptors);
    }

    /** Looked at before the thread that tells of failures has looked. */
    @ParameterizedTest
    @ValueSource(strings = {"FILL", "DETACH", "region"})
    void failuresAreToldBeforeTheEnd(String how) throws Exception {
        Path file = sevens(8 * PAGE);
        List<Long> told = new CopyOnWriteArrayList<>();
        MemoryRegion region = MemoryRegion.anonymous(8L * PAGE);
        Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PAGE).onFailure(each -> told.add(each.offset()))
                .onClose(how.equals("DETACH") ? Close.DETACH : Close.FILL).start();
        assertEquals(SEVEN, region.asByteBuffer(0, 1).get(0));
        resize(file, PAGE);
        assertEquals(FailurePolicy.PATTERN, region.asByteBuffer(5L * PAGE, 8).getLong(0));
        if (!how.equals("region")) {
            assertEquals(Abi.EFAULT, assertThrows(UffdException.class, pager::close).errno());
        }
        region.close();
        // The other thread may have seen it and not told it yet.
        Soon.assertEquals(how.equals("FILL") ? 7 : 1, told::size, "told");
        assertEquals(told.size(), told.stream().distinct().count(), told::toString);
        assertTrue(told.contains(5L * PAGE), told::toString);
    }

    @Test
    void aPageThatFailsAgainIsToldAgain() throws Exception {
        Path file = sevens(8 * PAGE);
        List<Long> told = new CopyOnWriteArrayList<>();
        try (MemoryRegion region = MemoryRegion.anonymous(8L * PAGE);
                Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PAGE).onFailure(each -> told.add(each.offset()))
                        .onClose(Close.DETACH).start()) {
            // Whoever tells of the sixth has seen that the fifth is good.
            List<Long> failing = List.of(5L * PAGE, 6L * PAGE, 5L * PAGE);
            for (int i = 0; i < failing.size(); i++) {
                long page = failing.get(i);
                List<Long> soFar = failing.subList(0, i + 1);
                resize(file, PAGE);
                region.discard(page, PAGE);
                assertEquals(FailurePolicy.PATTERN, region.asByteBuffer(page, 8).getLong(0));
                Soon.assertTrue(() -> told.equals(soFar), () -> "told " + told);
                sevens(8 * PAGE);
                region.discard(page, PAGE);
                assertEquals(SEVEN, region.asByteBuffer(page, 1).get(0));
                pager.check();
            }
        }
    }

    /** A file that is cut inside a page while that is copied gives zeros; nobody may go on with those and hear nothing. */
    @Test
    void aFileCutShortWhileItIsCopiedIsNoticed() throws Exception {
        int pages = LARGE / PAGE;
        Path file = sevens(LARGE);
        Random random = new Random(5);
        int noticed = 0;
        int rounds = ChildJvm.rounds(100);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            for (int i = 0; i < rounds; i++) {
                try (MemoryRegion region = MemoryRegion.anonymous(LARGE);
                        Pager pager = Pager.of(region, PageSource.file(file)).onFailure(FailurePolicy.FILL).onClose(Close.DETACH).start()) {
                    int ahead = 1 + random.nextInt(Math.min(60, pages / 2));
                    int last = ahead + random.nextInt(pages - ahead);
                    CompletableFuture<Boolean> filling = CompletableFuture.supplyAsync(() -> {
                        try {
                            pager.prefetch(0, region.size());
                            return true;
                        } catch (IOException e) {
                            assertTrue(e.getMessage().contains("EFAULT"), e.getMessage());
                            return false;
                        }
                    });
                    // Shortly before the copy gets there.
                    while (!region.residentPages((long) (last - ahead) * PAGE, PAGE).get(0) && !filling.isDone()) {
                        Thread.onSpinWait();
                    }
                    channel.truncate((long) last * PAGE + 1);
                    boolean filled = filling.join();
                    sevens(LARGE);
                    boolean good = true;
                    try {
                        pager.check();
                    } catch (UffdException e) {
                        assertFalse(filled, "prefetch returned, and " + e.getMessage());
                        good = false;
                        noticed++;
                    }
                    for (int page = 0; good && page < pages; page++) {
                        if (region.residentPages((long) page * PAGE, PAGE).get(0)) {
                            ByteBuffer bytes = region.asByteBuffer((long) page * PAGE, PAGE);
                            assertEquals(SEVEN, bytes.get(PAGE - 1), "page " + page + " of a file that was cut in page " + last);
                        }
                    }
                    // What failed is not needed any more.
                    assertThrowsOnlyIf(!good, pager);
                }
            }
        }
        System.out.println("a cut was noticed " + noticed + " times");
        assertTrue(noticed > 0 || rounds < 100, "no cut came while a page was copied");
    }

    private static void assertThrowsOnlyIf(boolean failed, Pager pager) throws UffdException {
        if (failed) {
            assertThrows(UffdException.class, pager::close);
        } else {
            pager.close();
        }
    }
}
