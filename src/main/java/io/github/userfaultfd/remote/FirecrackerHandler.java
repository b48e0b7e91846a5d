// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The page fault handler of Firecracker microVMs that are restored from a snapshot with {@code "backend_type": "Uffd"}. Each
 * Firecracker process connects to the socket, sends one message, and is served until it ends; any number of them, at once or
 * one after another. The messages of versions 1.1 to 1.13 are known, pages of 4 KiB and huge ones; pages that the balloon gave back read as zeros. A
 * message that is wrong is refused with a reason, and others are served as before.
 *
 * <p>Needs {@code com.fasterxml.jackson.core:jackson-core} on the class path or module path. All methods can be called from any
 * thread.
 *
 * <p>Who can write to the socket's file can connect. A connection costs one thread until the process ends.
 *
 * @see <a href="https://github.com/firecracker-microvm/firecracker/tree/main/docs/snapshotting">
 *     Firecracker, "Handling page faults on snapshot resume"</a>
 */
public final class FirecrackerHandler implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("io.github.userfaultfd");
    private static final Duration MESSAGE_TIMEOUT = Duration.ofSeconds(10);
    private static final int MOST_DESCRIPTORS = 8;
    private static final long PAUSE_MILLIS = 100;

    private final UffdListener listener;
    private final RemotePager pager;
    private final FirecrackerListener observer;
    private final Set<Thread> threads = ConcurrentHashMap.newKeySet();
    private final Set<UffdSocket> connections = ConcurrentHashMap.newKeySet();
    private volatile boolean closed;

    private FirecrackerHandler(UffdListener listener, RemotePager pager, FirecrackerListener observer) {
        this.listener = listener;
        this.pager = pager;
        this.observer = Objects.requireNonNull(observer, "observer");
    }

    /**
     * Listens at a file, from now on.
     *
     * @param socket the file, which must not exist
     * @param pager serves them all; its loader has the memory file's bytes. Closed with the handler
     * @param observer is told what happens
     * @return the running handler
     * @throws IOException if the socket cannot be made, or {@code com.fasterxml.jackson.core:jackson-core} is missing
     */
    public static FirecrackerHandler listen(Path socket, RemotePager pager, FirecrackerListener observer) throws IOException {
        PageLoaders.needing("com.fasterxml.jackson.core:jackson-core", "the messages of Firecracker", FirecrackerMessage::new);
        FirecrackerHandler handler = new FirecrackerHandler(UffdSocket.listen(socket), pager, observer);
        try {
            handler.thread("userfaultfd-firecracker", handler::acceptAll);
        } catch (IOException e) {
            handler.listener.close();
            throw e;
        }
        return handler;
    }

    private void thread(String name, Runnable body) throws IOException {
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } finally {
                threads.remove(Thread.currentThread());
            }
        }, name);
        threads.add(thread);
        try {
            Daemons.start(thread);
        } catch (IOException e) {
            threads.remove(thread);
            throw e;
        }
    }

    private void acceptAll() {
        while (!closed) {
            try {
                serve(listener.accept());
            } catch (AsynchronousCloseException e) {
                return;
            } catch (ClosedChannelException e) {
                return;
            } catch (IOException e) {
                // Too many open files, or the other side is gone already: the next one may have more luck.
                LOG.log(Level.ERROR, "cannot accept a connection", e);
                pause();
            }
        }
    }

    private void serve(UffdSocket connection) throws IOException {
        connections.add(connection);
        try {
            thread("userfaultfd-firecracker connection", () -> handle(connection));
        } catch (IOException e) {
            connections.remove(connection);
            try (connection) {
                refused(connection.peer(), e);
            }
            throw e;
        }
    }

    private void refused(PeerCredentials peer, IOException why) {
        LOG.log(Level.ERROR, peer + " is not served: " + why.getMessage());
        tell(() -> observer.refused(peer, why));
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void handle(UffdSocket connection) {
        PeerCredentials peer = new PeerCredentials(0, -1, -1);
        ServedProcess vm;
        try (connection; ReceivedDescriptors descriptors = new ReceivedDescriptors(MOST_DESCRIPTORS)) {
            peer = connection.peer();
            connection.timeout(MESSAGE_TIMEOUT);
            List<RemoteMapping> mappings = FirecrackerMessage.receive(connection, descriptors, pager.options.loader.size());
            vm = pager.serve(userfaultfd(descriptors), connection, mappings);
            tell(() -> observer.serves(vm, mappings));
        } catch (IOException | RuntimeException e) {
            if (!closed) {
                refused(peer, e instanceof IOException io ? io : new IOException(e.getMessage(), e));
            }
            return;
        } finally {
            connections.remove(connection);
        }
        try {
            vm.awaitEnd(Duration.ofDays(365_000));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        tell(() -> observer.ended(vm));
    }

    /** Some forks send a memfd too: the first descriptor is the userfaultfd, the others are closed. */
    private static Uffd userfaultfd(ReceivedDescriptors descriptors) throws IOException {
        if (descriptors.count() == 0) {
            throw new IOException("the message came without a descriptor");
        }
        Uffd uffd = descriptors.takeUffd(0);
        if (uffd.enabledFeatures().contains(Feature.SIGBUS)) {
            uffd.close();
            throw new IOException("its userfaultfd raises SIGBUS instead of faults that somebody could resolve");
        }
        if (!uffd.enabledFeatures().contains(Feature.EVENT_REMOVE)) {
            LOG.log(Level.WARNING, "its userfaultfd does not report removed pages: what a balloon gives back will come again");
        }
        return uffd;
    }

    private static void tell(Runnable what) {
        try {
            what.run();
        } catch (RuntimeException e) {
            LOG.log(Level.ERROR, "the listener of the Firecracker handler failed", e);
        }
    }

    /** {@return the microVMs that are served now} */
    public Set<ServedProcess> served() {
        return pager.served();
    }

    /**
     * Listens no more, deletes the socket's file and ends the service of all that are served, {@link ServedProcess#close}: with
     * the default policy that ends a microVM with pages that were never loaded, because it could only freeze. Returns when the
     * listener was told of all; a second close does nothing.
     *
     * @throws IOException if the socket's file cannot be deleted
     */
    @Override
    public void close() throws IOException {
        closed = true;
        try {
            listener.close();
        } finally {
            connections.forEach(UffdSocket::close);
            pager.close();
            for (Thread each : threads) {
                try {
                    each.join(MESSAGE_TIMEOUT.toMillis());
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        }
    }
}
