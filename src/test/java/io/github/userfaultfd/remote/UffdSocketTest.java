// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Bytes and descriptors between two sockets of this process, and what happens when one side is slow, gone or wrong. */
@Timeout(60)
class UffdSocketTest {
    private static final long CLOSE_ON_EXEC = 02000000;
    private static final Duration SHORT = Duration.ofMillis(100);
    private static final Duration LONG = Duration.ofSeconds(20);

    @TempDir
    private Path directory;
    private int descriptorsBefore;

    @BeforeEach
    void count() throws IOException {
        connect("warm-up-" + System.nanoTime()).close();
        descriptorsBefore = ProcessState.descriptors();
    }

    @AfterEach
    void nothingIsLeaked() {
        ProcessState.assertDescriptors(descriptorsBefore);
    }

    private record Pair(UffdListener listener, UffdSocket client, UffdSocket server) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            client.close();
            server.close();
            listener.close();
        }
    }

    private static Pair connect(String name) throws IOException {
        UffdListener listener = UffdSocket.listenAbstract(name).timeout(LONG);
        UffdSocket client = UffdSocket.connectAbstract(name, LONG).timeout(LONG);
        return new Pair(listener, client, listener.accept().timeout(LONG));
    }

    private static Pair connect() throws IOException {
        return connect("userfaultfd-test-" + ProcessHandle.current().pid() + "-" + System.nanoTime());
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(text.getBytes());
    }

    @Test
    void bytesArriveInOrderHoweverMany() throws Exception {
        byte[] sent = new byte[3 << 20];
        new Random(5).nextBytes(sent);
        try (Pair pair = connect(); ReceivedDescriptors none = new ReceivedDescriptors(0)) {
            CompletableFuture<Void> sending = CompletableFuture.runAsync(() -> {
                try (UffdSocket client = pair.client) {
                    client.send(ByteBuffer.wrap(sent));
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            ByteBuffer all = ByteBuffer.allocate(sent.length + 1);
            while (pair.server.receive(all, none) >= 0) {
                assertTrue(all.position() <= sent.length);
            }
            sending.get();
            assertArrayEquals(sent, java.util.Arrays.copyOf(all.array(), all.position()));
        }
    }

    @Test
    void aUserfaultfdTravels() throws Exception {
        try (Pair pair = connect(); ReceivedDescriptors received = new ReceivedDescriptors(2);
                MemoryRegion region = MemoryRegion.anonymous(1)) {
            try (Uffd uffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).create()) {
                uffd.register(region.address(), region.size());
                pair.client.send(bytes("x"), uffd.fd());
            }
            ByteBuffer one = ByteBuffer.allocate(10);
            assertEquals(1, pair.server.receive(one, received));
            assertEquals('x', one.get(0));
            assertEquals(1, received.count());
            assertTrue((openFlags() & CLOSE_ON_EXEC) != 0);
            try (Uffd uffd = received.takeUffd(0)) {
                uffd.zeropage(region.address(), region.size());
            }
            assertThrows(IllegalStateException.class, () -> received.take(0));
            assertThrows(IllegalStateException.class, () -> received.take(1));
            assertThrows(IllegalStateException.class, () -> received.take(-1));
        }
    }

    /** The flags of the one userfaultfd that is open, open(2). */
    private static long openFlags() throws IOException {
        for (java.io.File each : new java.io.File("/proc/self/fd").listFiles()) {
            try {
                if (Files.readSymbolicLink(each.toPath()).toString().equals("anon_inode:[userfaultfd]")) {
                    return Long.parseLong(ProcFiles.field("/proc/self/fdinfo/" + each.getName(), "flags").orElseThrow(), 8);
                }
            } catch (NoSuchFileException e) {
                continue; // closed since it was listed
            }
        }
        throw new AssertionError("no userfaultfd is open");
    }

    @Test
    void descriptorsThatNobodyTakesAreClosed() throws Exception {
        int[] two = {2, 2};
        try (Pair pair = connect(); ReceivedDescriptors received = new ReceivedDescriptors(3)) {
            int open = ProcessState.descriptors();
            ByteBuffer buffer = ByteBuffer.allocate(10);
            for (int i = 0; i < 10; i++) {
                pair.client.send(bytes("ab"), two);
                assertEquals(2, pair.server.receive(buffer.clear(), received));
                assertEquals(2, received.count());
            }
            ProcessState.assertDescriptors(open + 2);
            Native.close(received.take(1));
            assertEquals(1, received.count());
            // Sent, and not received before the end.
            pair.client.send(bytes("c"), two);
        }
    }

    @Test
    void moreDescriptorsThanRoomAreAnErrorAndAllAreClosed() throws Exception {
        try (Pair pair = connect(); ReceivedDescriptors one = new ReceivedDescriptors(1);
                ReceivedDescriptors many = new ReceivedDescriptors(Abi.MOST_DESCRIPTORS)) {
            int open = ProcessState.descriptors();
            ByteBuffer buffer = ByteBuffer.allocate(10);
            for (int count = 2; count < 5; count++) {
                pair.client.send(bytes("a"), new int[count]);
                UffdException e = assertThrows(UffdException.class, () -> pair.server.receive(buffer, one));
                assertEquals(Abi.ETOOMANYREFS, e.errno());
                ProcessState.assertDescriptors(open);
            }
            pair.client.send(bytes("b"), new int[Abi.MOST_DESCRIPTORS]);
            assertEquals(1, pair.server.receive(buffer, many));
            assertEquals(Abi.MOST_DESCRIPTORS, many.count());
            assertEquals(Abi.EINVAL, assertThrows(UffdException.class,
                    () -> pair.client.send(bytes("b"), new int[Abi.MOST_DESCRIPTORS + 1])).errno());
            assertEquals(Abi.EBADF, assertThrows(UffdException.class, () -> pair.client.send(bytes("b"), 9999)).errno());
            assertThrows(IllegalArgumentException.class, () -> new ReceivedDescriptors(254));
            assertThrows(IllegalArgumentException.class, () -> pair.client.send(ByteBuffer.allocate(0), 0));
            assertThrows(IllegalArgumentException.class, () -> pair.server.receive(ByteBuffer.allocate(0), one));
        }
    }

    /** A child that may open few files receives many: the kernel cuts the message off. */
    static final class FewFiles {
        public static void main(String[] arguments) throws Exception {
            try (Pair pair = connect(); ReceivedDescriptors many = new ReceivedDescriptors(200)) {
                pair.client.send(bytes("a"), new int[200]);
                int open = ProcessState.descriptors();
                try {
                    pair.server.receive(ByteBuffer.allocate(1), many);
                    System.out.println("received " + many);
                } catch (UffdException e) {
                    System.out.println("errno " + e.errno() + ", leaked " + (ProcessState.descriptors() - open));
                }
            }
        }
    }

    @Test
    void aMessageThatTheKernelCutsOffIsAnError() throws Exception {
        ChildJvm.Result result = new ChildJvm().startedBy("sh", "-c", "ulimit -n 100 && exec \"$@\"", "sh")
                .options("-XX:-MaxFDLimit").run(LONG, FewFiles.class).assertExit(0);
        assertEquals("errno " + Abi.EMFILE + ", leaked 0\n", result.output());
    }

    @Test
    void waitingHasALimit() throws Exception {
        try (Pair pair = connect(); ReceivedDescriptors none = new ReceivedDescriptors(0)) {
            pair.server.timeout(SHORT);
            pair.client.timeout(SHORT);
            pair.listener.timeout(SHORT);
            long start = System.nanoTime();
            assertThrows(SocketTimeoutException.class, () -> pair.server.receive(ByteBuffer.allocate(1), none));
            assertTrue(System.nanoTime() - start >= SHORT.toNanos());
            assertThrows(SocketTimeoutException.class, pair.listener::accept);
            assertThrows(SocketTimeoutException.class, () -> pair.client.send(ByteBuffer.allocate(10 << 20)));
            assertThrows(IllegalArgumentException.class, () -> pair.client.timeout(Duration.ZERO));
            assertTrue(System.nanoTime() - start < LONG.toNanos());
        }
    }

    @Test
    void aFullQueueOfConnectionsHasALimit() throws Exception {
        String name = "userfaultfd-full-" + System.nanoTime();
        java.util.List<UffdSocket> open = new java.util.ArrayList<>();
        try (UffdListener listener = UffdSocket.listenAbstract(name)) {
            assertThrows(SocketTimeoutException.class, () -> {
                for (int i = 0; i < 10_000; i++) {
                    open.add(UffdSocket.connectAbstract(name, SHORT));
                }
            });
            assertTrue(listener.toString().contains(name));
        } finally {
            open.forEach(UffdSocket::close);
        }
    }

    private static void assertEnded(Class<? extends Throwable> expected, Thread thread, AtomicReference<Throwable> thrown)
            throws Exception {
        thread.join(LONG.toMillis());
        assertFalse(thread.isAlive());
        assertEquals(expected, thrown.get() == null ? null : thrown.get().getClass());
    }

    private static Thread waiting(AtomicReference<Throwable> thrown, org.junit.jupiter.api.function.Executable call)
            throws Exception {
        Thread thread = new Thread(() -> {
            try {
                call.execute();
            } catch (Throwable e) {
                thrown.set(e);
            }
        });
        thread.start();
        Soon.assertInNative(thread);
        return thread;
    }

    @Test
    void closeAndInterruptEndWhatWaits() throws Exception {
        try (Pair pair = connect(); ReceivedDescriptors none = new ReceivedDescriptors(0)) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread receiver = waiting(thrown, () -> pair.server.receive(ByteBuffer.allocate(1), none));
            receiver.interrupt();
            assertEnded(InterruptedIOException.class, receiver, thrown);
            receiver = waiting(thrown, () -> pair.server.receive(ByteBuffer.allocate(1), none));
            pair.server.close();
            assertEnded(AsynchronousCloseException.class, receiver, thrown);
            Thread acceptor = waiting(thrown, pair.listener::accept);
            pair.listener.close();
            assertEnded(AsynchronousCloseException.class, acceptor, thrown);
            assertThrows(ClosedChannelException.class, () -> pair.server.receive(ByteBuffer.allocate(1), none));
            assertThrows(ClosedChannelException.class, pair.server::peer);
            assertFalse(pair.server.isOpen());
            assertEquals(Abi.EPIPE, assertThrows(UffdException.class, () -> pair.client.send(bytes("late"))).errno());
        }
    }

    @Test
    void aSenderThatWaitsForRoomIsEndedByTheOtherSide() throws Exception {
        try (Pair pair = connect()) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread sender = waiting(thrown, () -> pair.client.send(ByteBuffer.allocate(10 << 20)));
            pair.server.close();
            assertEnded(UffdException.class, sender, thrown);
        }
    }

    @Test
    void pathsAndTheirErrors() throws Exception {
        Path path = directory.resolve("socket");
        assertEquals(Abi.ENOENT, assertThrows(UffdException.class, () -> UffdSocket.connect(path, SHORT)).errno());
        UffdListener listener = UffdSocket.listen(path);
        try (UffdSocket client = UffdSocket.connect(path, SHORT); UffdSocket server = listener.accept()) {
            PeerCredentials peer = server.peer();
            assertEquals(ProcessHandle.current().pid(), peer.pid());
            assertEquals(peer, client.peer());
            int pidfd = server.peerPidfd();
            assertEquals(0, Native.pidfdSignal(pidfd, 0));
            Native.close(pidfd);
        }
        UffdException taken = assertThrows(UffdException.class, () -> UffdSocket.listen(path));
        assertEquals(Abi.EADDRINUSE, taken.errno());
        assertTrue(taken.getMessage().contains(path.toString()), taken.getMessage());
        listener.close();
        listener.close();
        assertFalse(Files.exists(path));
        // What somebody else put there meanwhile is not deleted.
        UffdListener older = UffdSocket.listen(path);
        Files.delete(path);
        try (UffdListener newer = UffdSocket.listen(path)) {
            older.close();
            assertTrue(Files.exists(path), newer::toString);
        }
        assertFalse(Files.exists(path));
        Files.writeString(path, "");
        assertEquals(Abi.ECONNREFUSED, assertThrows(UffdException.class, () -> UffdSocket.connect(path, SHORT)).errno());
        Path longest = directory.resolve("x".repeat(106 - directory.toString().length()));
        UffdSocket.listen(longest).close();
        assertEquals(Abi.ENAMETOOLONG, assertThrows(UffdException.class,
                () -> UffdSocket.listen(Path.of(longest + "x"))).errno());
        assertThrows(IllegalArgumentException.class, () -> UffdSocket.listen(Path.of("")));
        assertEquals(Abi.ECONNREFUSED, assertThrows(UffdException.class,
                () -> UffdSocket.connectAbstract("nobody" + System.nanoTime(), SHORT)).errno());
    }

    @Test
    void thePeersProcessIsTheVeryOne() throws Exception {
        String name = "userfaultfd-peer-" + System.nanoTime();
        try (UffdListener listener = UffdSocket.listenAbstract(name).timeout(LONG)) {
            CompletableFuture<ChildJvm.Result> child = CompletableFuture.supplyAsync(() -> {
                try {
                    return new ChildJvm().run(LONG, Connects.class, name);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
            try (UffdSocket server = listener.accept()) {
                int pidfd = server.peerPidfd();
                assertFalse(ProcessHandle.current().pid() == server.peer().pid());
                assertEquals(0, Native.pidfdSignal(pidfd, Abi.SIGKILL));
                assertEquals(128 + Abi.SIGKILL, result(child).exit());
                assertEquals(-Abi.ESRCH, Native.pidfdSignal(pidfd, 0));
                Native.close(pidfd);
            }
        }
    }

    private static ChildJvm.Result result(CompletableFuture<ChildJvm.Result> child)
            throws InterruptedException, ExecutionException {
        return child.get();
    }

    /** Connects and stays. */
    static final class Connects {
        public static void main(String[] arguments) throws Exception {
            try (UffdSocket socket = UffdSocket.connectAbstract(arguments[0], LONG)) {
                Thread.sleep(LONG.toMillis());
                System.out.println(socket);
            }
        }
    }
}
