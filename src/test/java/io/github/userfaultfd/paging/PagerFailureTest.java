// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sources that fail while a pager reads from them. What ends the process is in PagingChildTest. */
@Timeout(60)
class PagerFailureTest {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final int PAGES = 100;

    @TempDir
    private Path directory;
    private Path file;
    private byte[] content;

    @BeforeEach
    void makeFile() throws IOException {
        content = new byte[PAGES * PAGE];
        new Random(1).nextBytes(content);
        file = Files.write(directory.resolve("source"), content);
    }

    private void cut(long size) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(size);
        }
    }

    private static UffdException fails(Executable call) {
        UffdException e = assertThrows(UffdException.class, call);
        assertEquals(Abi.EFAULT, e.errno(), e.getMessage());
        return e;
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aSourceCutShortFailsFetchAndClose(FaultEngine engine) throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(PAGE).start();
        region.fetch(0, PAGE);
        // Inside a page: its rest would read as zeros without any error.
        cut(10 * PAGE + 1);
        assertTrue(fails(() -> region.fetch(50 * PAGE, 1)).getMessage().contains(file.toString()));
        fails(() -> pager.prefetch(5 * PAGE, 1));
        assertTrue(fails(pager::close).getMessage().contains("close the region to give them up"));
        assertEquals(3, pager.stats().failed());
        assertEquals(content[0], region.asByteBuffer(0, 1).get(0));
        pager.check();
        // Whole again: goes on as if nothing had been.
        Files.write(file, content, StandardOpenOption.WRITE);
        pager.prefetch(0, region.size());
        pager.close();
        assertEquals(content[10 * PAGE + 1], region.asByteBuffer(10 * PAGE + 1, 1).get(0));
        region.close();
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void thePolicyFillShowsThePatternAndKeepsTheFailure(FaultEngine engine) throws Exception {
        Set<Long> told = new ConcurrentSkipListSet<>();
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(8L * PAGE)
                .onFailure(failure -> {
                    told.add(failure.offset());
                    throw new IllegalStateException("a listener that fails is logged");
                }).start();
        assertEquals(content[3], region.asByteBuffer(3, 1).get(0));
        pager.check();
        cut(10 * PAGE);
        for (long page : new long[] {50, 51, 99}) {
            ByteBuffer words = region.asByteBuffer(page * PAGE, PAGE);
            while (words.hasRemaining()) {
                assertEquals(FailurePolicy.PATTERN, words.getLong());
            }
        }
        assertEquals(content[5], region.asByteBuffer(5, 1).get(0));
        UffdException e = fails(pager::check);
        assertTrue(e.getMessage().contains("offset " + 50 * PAGE), e.getMessage());
        fails(() -> region.fetch(51 * PAGE, 1));
        fails(() -> pager.prefetch(99 * PAGE, 1));
        for (int i = 0; i < 1000 && told.size() < 3; i++) {
            Thread.sleep(5);
        }
        assertEquals(Set.of(50L * PAGE, 51L * PAGE, 99L * PAGE), told);
        // Three touched, one fetched and one prefetched in vain.
        assertEquals(3 + 1 + 1, pager.stats().failed());
        assertTrue(fails(pager::close).getMessage().contains("the failure pattern"));
        // Closed all the same, and what was missing and could not be filled is the pattern, not zeros.
        pager.close();
        assertThrows(IllegalStateException.class, pager::stats);
        assertEquals(FailurePolicy.PATTERN, region.asByteBuffer(70L * PAGE, 8).getLong(0));
        region.close();
    }

    /** A failed page that was discarded is missing like any other, and good again once the source is. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aFailedPageThatWasDiscardedCanBeFetched(FaultEngine engine) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(PAGE)
                        .onFailure(FailurePolicy.FILL).start()) {
            cut(10 * PAGE);
            assertEquals(FailurePolicy.PATTERN, region.asByteBuffer(50L * PAGE, 8).getLong(0));
            Files.write(file, content, StandardOpenOption.WRITE);
            fails(() -> pager.prefetch(49L * PAGE, 3L * PAGE));
            region.discard(50L * PAGE, PAGE);
            region.fetch(49L * PAGE, 3L * PAGE);
            pager.check();
            assertEquals(content[50 * PAGE + 7], region.asByteBuffer(50L * PAGE + 7, 1).get(0));
        }
    }

    /** To close is what a listener is likely to do. */
    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aListenerMayCloseTheRegion(FaultEngine engine) throws Exception {
        MemoryRegion region = MemoryRegion.anonymous(content.length);
        CompletableFuture<PageFailure> told = new CompletableFuture<>();
        CompletableFuture<Long> read = new CompletableFuture<>();
        Pager.of(region, PageSource.file(file)).engine(engine).faultAround(PAGE).onFailure(failure -> {
            read.join();
            region.close();
            told.complete(failure);
        }).start();
        cut(PAGE);
        read.complete(region.asByteBuffer(3L * PAGE, 8).getLong(0));
        assertEquals(FailurePolicy.PATTERN, read.join());
        assertEquals(3L * PAGE, told.get(30, TimeUnit.SECONDS).offset());
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aFailedPageIsMendedWhenDiscarded(FaultEngine engine) throws Exception {
        try (MemoryRegion region = MemoryRegion.anonymous(content.length);
                Pager pager = Pager.of(region, PageSource.file(file)).engine(engine).faultAround(PAGE)
                        .onFailure(FailurePolicy.FILL).start()) {
            cut(PAGE);
            assertEquals(FailurePolicy.PATTERN, region.asByteBuffer(7L * PAGE, 8).getLong(0));
            fails(pager::check);
            Files.write(file, content, StandardOpenOption.WRITE);
            region.discard(7L * PAGE, PAGE);
            assertEquals(content[7 * PAGE], region.asByteBuffer(7L * PAGE, 1).get(0));
            for (int i = 0; i < 1000; i++) {
                try {
                    pager.check();
                    break;
                } catch (UffdException e) {
                    // Engine THREAD forgets a failure a moment after the page is there.
                    assertTrue(i < 999, e.getMessage());
                    Thread.sleep(1);
                }
            }
        }
    }
}
