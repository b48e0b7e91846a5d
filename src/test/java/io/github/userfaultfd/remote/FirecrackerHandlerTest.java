// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.conformance.HugePages;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A C program plays Firecracker: as root, because its userfaultfd resolves faults of the kernel too. */
@Timeout(300)
class FirecrackerHandlerTest {
    private static final long PAGE = PageSize.system().bytes();
    private static final int PAGES = 200;
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    @TempDir
    private Path directory;
    private Path socket;
    private final BlockingQueue<String> refused = new LinkedBlockingQueue<>();
    private final BlockingQueue<ServedProcess> ended = new LinkedBlockingQueue<>();

    @BeforeEach
    void needs() {
        Needs.root();
        socket = directory.resolve("s");
    }

    private final class Observer implements FirecrackerListener {
        @Override
        public void refused(PeerCredentials peer, IOException why) {
            refused.add(why.getMessage());
        }

        @Override
        public void ended(ServedProcess vm) {
            ended.add(vm);
            throw new IllegalStateException("a listener that fails is logged");
        }
    }

    /** The end of a process is noticed a moment after it. */
    private static void assertNobodyIsServed(FirecrackerHandler handler) {
        Soon.assertTrue(() -> handler.served().isEmpty(), () -> handler.served().toString());
    }

    private ServedProcess awaitEnd() throws InterruptedException {
        ServedProcess vm = ended.poll(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        assertNotNull(vm, "nothing has ended");
        return vm;
    }

    private Path memory(long pageSize, int pages) throws IOException {
        return FakeFirecracker.memory(directory, pageSize, pages);
    }

    private FirecrackerHandler handler(PageLoader loader) throws IOException {
        return FirecrackerHandler.listen(socket, RemotePager.of(loader).faultAround(4 * PAGE).start(), new Observer());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 6, 7, 11, 12, 13})
    void aRestoreOfEachVersion(int version) throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, PAGES));
                FirecrackerHandler handler = handler(loader)) {
            FakeFirecracker.assertRight(socket, version, PAGE, PAGES);
            ServedProcess vm = awaitEnd();
            assertTrue(vm.hasEnded());
            assertEquals(2 * PAGES / 5, vm.stats().removedPages());
            assertEquals(0, vm.stats().failedPages());
            assertNobodyIsServed(handler);
        }
        assertFalse(Files.exists(socket));
    }

    @Test
    void inPiecesWithUnknownFieldsTwoDescriptorsAndAChild() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, PAGES));
                FirecrackerHandler handler = handler(loader)) {
            FakeFirecracker.assertRight(socket, 12, PAGE, PAGES, "pieces", "extra");
            FakeFirecracker.assertRight(socket, 12, PAGE, PAGES, "fork");
            // The child's service ends a moment after it: nothing but a failed probe tells of its end.
            assertNobodyIsServed(handler);
        }
    }

    private static long threads() {
        return Thread.getAllStackTraces().keySet().stream().filter(each -> each.getName().startsWith("userfaultfd")).count();
    }

    @Test
    void aHundredRestoresLeaveNothingBehind() throws Exception {
        int restores = 100;
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, 40)); FirecrackerHandler handler = handler(loader)) {
            for (int i = 0; i < 10; i++) {
                FakeFirecracker.assertRight(socket, 12, PAGE, 40);
                awaitEnd();
            }
            Soon.assertEquals(1, FirecrackerHandlerTest::threads, "the listener's thread");
            int descriptors = ProcessState.descriptors();
            int mappings = ProcessState.mappings();
            for (int i = 0; i < restores / 2; i++) {
                CompletableFuture<Void> other = CompletableFuture.runAsync(() -> {
                    try {
                        FakeFirecracker.assertRight(socket, 12, PAGE, 40);
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
                FakeFirecracker.assertRight(socket, 6, PAGE, 40);
                other.get();
            }
            for (int i = 0; i < restores; i++) {
                awaitEnd();
            }
            assertNobodyIsServed(handler);
            ProcessState.assertDescriptors(descriptors);
            Soon.assertEquals(1, FirecrackerHandlerTest::threads, "the listener's thread");
            // The JVM's own come and go, but not with each restore.
            System.out.println("mappings before " + restores + " restores " + mappings + ", after " + ProcessState.mappings());
            assertTrue(ProcessState.mappings() < mappings + restores / 2, () -> mappings + ", now " + ProcessState.mappings());
        }
    }

    @Test
    void hugePages() throws Exception {
        HugePages.need();
        int pages = 6;
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(HugePages.SIZE, pages));
                FirecrackerHandler handler = FirecrackerHandler.listen(socket, RemotePager.of(loader)
                        .start(), new Observer())) {
            for (int version : new int[] {11, 12}) {
                FakeFirecracker.assertRight(socket, version, HugePages.SIZE, pages);
                ServedProcess vm = awaitEnd();
                assertEquals(0, vm.stats().failedPages());
                assertEquals(2, vm.stats().removedPages());
                assertFalse(handler.served().contains(vm));
            }
        } finally {
            HugePages.giveBack();
        }
    }

    @Test
    void aPageThatCannotBeLoadedEndsTheVmAndNoOther() throws Exception {
        Path file = memory(PAGE, PAGES);
        try (PageLoaders.Closeable good = PageLoaders.file(file)) {
            PageLoader loader = new PageLoader() {
                @Override
                public void load(long offset, ByteBuffer page) throws IOException {
                    if (offset == 10 * PAGE) {
                        throw new IOException("the disk is gone");
                    }
                    good.load(offset, page);
                }

                @Override
                public long size() {
                    return good.size();
                }
            };
            try (FirecrackerHandler handler = handler(loader)) {
                FakeFirecracker.assertKilled(socket, PAGES);
                ServedProcess vm = awaitEnd();
                assertEquals(10 * PAGE, vm.failure().orElseThrow().offset());
                // Fewer pages: never touches the bad one.
                FakeFirecracker.assertRight(socket, 12, PAGE, 4);
                assertNobodyIsServed(handler);
            }
        }
    }

    @Test
    void aClosedHandlerEndsAVmThatCouldOnlyFreeze() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, PAGES))) {
            FirecrackerHandler handler = handler(loader);
            Process vm = FakeFirecracker.startWithMissingPages(socket, PAGES);
            try {
                handler.close();
                handler.close();
                FakeFirecracker.assertEnded(vm);
                assertFalse(Files.exists(socket));
                assertEquals(1, ended.size());
            } finally {
                vm.destroyForcibly().waitFor();
            }
        }
    }

    private static String region(Object base, Object size, Object offset, Object page) {
        return "{\"base_host_virt_addr\":" + base + ",\"size\":" + size + ",\"offset\":" + offset + ",\"page_size\":" + page
                + "}";
    }

    private void assertRefused(String because, String message, int... descriptors) throws Exception {
        try (UffdSocket client = UffdSocket.connect(socket, DEADLINE)) {
            if (!message.isEmpty()) {
                try {
                    client.send(ByteBuffer.wrap(message.getBytes()), descriptors);
                } catch (UffdException e) {
                    // Refused before all was sent.
                    assertTrue(message.length() > 100_000, message);
                }
            }
        }
        String why = refused.poll(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        assertNotNull(why, message);
        assertTrue(why.contains(because), () -> because + " is not in: " + why);
    }

    @Test
    void malformedMessagesAreRefusedAndTheListenerLivesOn() throws Exception {
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, PAGES)); FirecrackerHandler handler = handler(loader);
                Uffd uffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).create()) {
            String good = region(1 << 20, PAGE, 0, PAGE);
            assertRefused("without a descriptor", "[" + good + "]");
            int descriptors = ProcessState.descriptors();
            int fd = uffd.fd();
            assertRefused("without a message", "");
            assertRefused("in the middle", "[" + good, fd);
            assertRefused("has no region", "[]", fd);
            assertRefused("not an array", "{}", fd);
            assertRefused("not an array", "5 ", fd);
            assertRefused("Unrecognized token", "not JSON", fd);
            assertRefused("not an object", "[1]", fd);
            assertRefused("not an object", "[[" + good + "]]", fd);
            assertRefused("goes on behind", "[" + good + "][]", fd);
            assertRefused("has no size", "[{\"base_host_virt_addr\":4096,\"offset\":0}]", fd);
            assertRefused("Duplicate", "[{\"size\":4096,\"size\":4096}]", fd);
            assertRefused("size is not an integer", "[" + region(1 << 20, "\"4096\"", 0, PAGE) + "]", fd);
            assertRefused("size is not an integer", "[" + region(1 << 20, "4096.5", 0, PAGE) + "]", fd);
            assertRefused("offset is not an integer", "[" + region(1 << 20, PAGE, "null", PAGE) + "]", fd);
            assertRefused("size is -4096", "[" + region(1 << 20, -4096, 0, PAGE) + "]", fd);
            assertRefused("base_host_virt_addr is 18446744073709551615", "[" + region("18446744073709551615", PAGE, 0, PAGE)
                    + "]", fd);
            assertRefused("Number value length", "[" + region("9".repeat(1000), PAGE, 0, PAGE) + "]", fd);
            assertRefused("not an object", "[".repeat(1000), fd);
            assertRefused("nesting depth", "[{\"a\":" + "[".repeat(1000), fd);
            assertRefused("Document length", "[{\"a\":\"" + "x".repeat(8 << 20), fd);
            assertRefused("length is zero", "[" + region(1 << 20, 0, 0, PAGE) + "]", fd);
            assertRefused("not a multiple", "[" + region((1 << 20) + 1, PAGE, 0, PAGE) + "]", fd);
            assertRefused("not a multiple", "[" + region(1 << 20, PAGE + 1, 0, PAGE) + "]", fd);
            assertRefused("not a multiple", "[" + region(1 << 20, PAGE, 1, PAGE) + "]", fd);
            assertRefused("a page size is", "[" + region(1 << 20, PAGE, 0, 3) + "]", fd);
            assertRefused("overflows", "[" + region(Long.MAX_VALUE - PAGE + 1, 2 * PAGE, 0, PAGE) + "]", fd);
            assertRefused("beyond the end", "[" + region(1 << 20, 500 * PAGE, 0, PAGE) + "]", fd);
            assertRefused("beyond the end", "[" + region(1 << 20, PAGE, Long.MAX_VALUE - 2 * PAGE + 1, PAGE) + "]", fd);
            assertRefused("not a userfaultfd", "[" + good + "]", 2);
            assertRefused("more descriptors", "[" + good + "]", new int[9]);
            // All is right but who it comes from.
            assertRefused("this very JVM", "[" + good + "]", fd);
            ProcessState.assertDescriptors(descriptors);
            assertNobodyIsServed(handler);
            FakeFirecracker.assertRight(socket, 12, PAGE, 20);
        }
    }

    @Test
    void overlappingRegionsAreRefused() throws Exception {
        // Only a foreign process gets as far as that: the mappings are checked when it is about to be served.
        try (PageLoaders.Closeable loader = PageLoaders.file(memory(PAGE, PAGES));
                FirecrackerHandler handler = handler(loader)) {
            String two = "[" + region(1 << 20, 2 * PAGE, 0, PAGE) + "," + region((1 << 20) + PAGE, PAGE, 0, PAGE) + "]";
            new ChildJvm().run(DEADLINE, Sends.class, socket.toString(), two).assertExit(0);
            assertTrue(refused.poll(DEADLINE.toMillis(), TimeUnit.MILLISECONDS).contains("overlaps"));
            assertNobodyIsServed(handler);
        }
    }

    /** Sends a message with a fresh userfaultfd. */
    static final class Sends {
        public static void main(String[] arguments) throws Exception {
            try (UffdSocket client = UffdSocket.connect(Path.of(arguments[0]), DEADLINE);
                    Uffd uffd = new UffdBuilder().create();
                    ReceivedDescriptors none = new ReceivedDescriptors(0)) {
                client.send(ByteBuffer.wrap(arguments[1].getBytes()), uffd.fd());
                client.receive(ByteBuffer.allocate(1), none);
            }
        }
    }
}
