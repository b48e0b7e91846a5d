// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.SystemNames;
import java.io.IOException;
import java.lang.ref.Reference;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * A connected Unix-domain stream socket that carries bytes and descriptors, unix(7) with SCM_RIGHTS. Java's own
 * {@code SocketChannel} has such sockets but cannot pass a descriptor.
 *
 * <p>Calls that wait do so until the {@link #timeout}, until another thread closes the socket
 * ({@link AsynchronousCloseException}), or until the waiting thread is interrupted ({@link java.io.InterruptedIOException},
 * within
 * 50 ms). All methods can be called from any thread; one sender and one receiver at a time. What is sent lives in the kernel
 * on its own: if the other side dies before it receives, the kernel closes its references.
 */
public final class UffdSocket implements AutoCloseable {
    private static final int PIECE = 64 * 1024;
    private static final long CONNECT_AGAIN_NANOS = 5_000_000;

    private final SocketDescriptor socket;

    UffdSocket(int fd, String name) {
        socket = new SocketDescriptor(fd, name);
    }

    /**
     * Connects to a listener's file, connect(2). Waits only if its queue of connections is full.
     *
     * @param path the file; its name has at most 107 bytes
     * @param timeout how long at most
     * @return the connection
     * @throws UffdException ENOENT: no such file; ECONNREFUSED: nobody listens; EACCES: no right to write to it;
     *     ENAMETOOLONG
     * @throws SocketTimeoutException if the queue stays full
     */
    public static UffdSocket connect(Path path, Duration timeout) throws IOException {
        return connect(bytes(path), "socket " + path, timeout);
    }

    /**
     * Connects to a listener in the abstract name space of this network namespace, which has no files and no rights.
     *
     * @param name at most 107 bytes of UTF-8
     * @param timeout how long at most
     * @return the connection
     * @throws UffdException ECONNREFUSED: nobody listens; ENAMETOOLONG
     * @throws SocketTimeoutException if the queue stays full
     */
    public static UffdSocket connectAbstract(String name, Duration timeout) throws IOException {
        return connect(abstractBytes(name), "socket @" + name, timeout);
    }

    private static UffdSocket connect(byte[] address, String name, Duration timeout) throws IOException {
        long limit = SocketDescriptor.nanos(timeout);
        long start = System.nanoTime();
        for (;;) {
            int fd = withBytes(address, at -> Native.socketConnect(at, address.length));
            if (fd >= 0) {
                return new UffdSocket(fd, name);
            }
            if (fd != -Abi.EAGAIN) {
                throw new UffdException("connect", -fd, "to " + name, reason(fd));
            }
            if (System.nanoTime() - start >= limit) {
                throw new SocketTimeoutException("connect to " + name + ": its queue of connections is full");
            }
            LockSupport.parkNanos(CONNECT_AGAIN_NANOS);
        }
    }

    static String reason(long failed) {
        return switch ((int) -failed) {
            case Abi.ENOENT -> "there is no such file";
            case Abi.ENOTTY, Abi.EINVAL -> "it is not a name for a socket";
            default -> Errno.meaning((int) -failed);
        };
    }

    /**
     * Listens at a file, which must not exist yet and is deleted by {@link UffdListener#close}. Who may connect is decided by
     * the rights of the file and its directory.
     *
     * @param path the file; its name has at most 107 bytes
     * @return the listener
     * @throws UffdException EADDRINUSE: the file exists; ENAMETOOLONG
     */
    public static UffdListener listen(Path path) throws IOException {
        return new UffdListener(listen(bytes(path), "socket " + path), "socket " + path, path);
    }

    /**
     * Listens in the abstract name space of this network namespace: every process there can connect, see
     * {@link #peer}.
     *
     * @param name at most 107 bytes of UTF-8
     * @return the listener
     * @throws UffdException EADDRINUSE: somebody listens there; ENAMETOOLONG
     */
    public static UffdListener listenAbstract(String name) throws IOException {
        return new UffdListener(listen(abstractBytes(name), "socket @" + name), "socket @" + name, null);
    }

    private static int listen(byte[] address, String name) throws UffdException {
        int fd = withBytes(address, at -> Native.socketListen(at, address.length, UffdListener.QUEUE));
        if (fd < 0) {
            throw new UffdException("listen", -fd, "at " + name, reason(fd));
        }
        return fd;
    }

    private static byte[] bytes(Path path) {
        byte[] bytes = SystemNames.bytes(path.toString());
        if (bytes.length == 0) {
            throw new IllegalArgumentException("the path of a socket is empty");
        }
        return bytes;
    }

    private static byte[] abstractBytes(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        byte[] address = new byte[bytes.length + 1];
        System.arraycopy(bytes, 0, address, 1, bytes.length);
        return address;
    }

    @FunctionalInterface
    private interface WithAddress {
        int run(long address);
    }

    private static int withBytes(byte[] bytes, WithAddress call) {
        ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length).put(bytes);
        try {
            return call.run(Native.directAddress(direct));
        } finally {
            Reference.reachabilityFence(direct);
        }
    }

    /**
     * Limits how long each following call waits. Without it, for ever.
     *
     * @param timeout more than nothing
     * @return this socket
     */
    public UffdSocket timeout(Duration timeout) {
        socket.timeout(timeout);
        return this;
    }

    /**
     * Sends all remaining bytes of a buffer, and descriptors with the first of them: sendmsg(2), SCM_RIGHTS. Waits for room.
     *
     * @param bytes at least one, because descriptors travel only with bytes
     * @param descriptors at most 253; they stay the caller's and can be closed at once
     * @throws UffdException EPIPE: the other side has closed; EBADF: not an open descriptor
     * @throws SocketTimeoutException if there is no room in time; some bytes may have been sent
     * @throws ClosedChannelException if the socket is closed
     */
    public void send(ByteBuffer bytes, int... descriptors) throws IOException {
        if (!bytes.hasRemaining()) {
            throw new IllegalArgumentException("send: descriptors travel only with bytes, and there is none");
        }
        ByteBuffer fds = ByteBuffer.allocateDirect(Math.max(1, descriptors.length) * Integer.BYTES)
                .order(ByteOrder.nativeOrder());
        fds.asIntBuffer().put(descriptors);
        long fdsAt = Native.directAddress(fds);
        ByteBuffer direct = ByteBuffer.allocateDirect(Math.min(PIECE, bytes.remaining()));
        long at = Native.directAddress(direct);
        try {
            for (int count = descriptors.length; bytes.hasRemaining(); count = 0) {
                int length = Math.min(direct.capacity(), bytes.remaining());
                direct.clear().put(bytes.duplicate().limit(bytes.position() + length));
                int with = count;
                long sent = socket.await("send", true, fd -> Native.socketSend(fd, at, length, fdsAt, with));
                bytes.position(bytes.position() + (int) sent);
            }
        } finally {
            Reference.reachabilityFence(fds);
            Reference.reachabilityFence(direct);
        }
    }

    /**
     * Receives what has come, at least one byte: recvmsg(2), with MSG_CMSG_CLOEXEC. A message is not kept together: it may come
     * in several pieces, the descriptors with the first of them.
     *
     * @param bytes where to; has to have room
     * @param descriptors where to; what it held is closed first
     * @return how many bytes came; -1 if the other side has closed
     * @throws UffdException ETOOMANYREFS: more descriptors came than there is room for; EMFILE: the kernel could not open them
     *     all, because of the limit of open files. All are closed then, and the bytes that came with them are lost
     * @throws SocketTimeoutException if nothing comes in time
     * @throws ClosedChannelException if the socket is closed
     */
    public int receive(ByteBuffer bytes, ReceivedDescriptors descriptors) throws IOException {
        if (!bytes.hasRemaining()) {
            throw new IllegalArgumentException("receive: the buffer is full");
        }
        ByteBuffer direct = ByteBuffer.allocateDirect(Math.min(PIECE, bytes.remaining()));
        long at = Native.directAddress(direct);
        long fdsAt = descriptors.emptied();
        try {
            int received = (int) socket.await("receive", false,
                    fd -> Native.socketReceive(fd, at, direct.capacity(), fdsAt, descriptors.room()));
            if (received == 0) {
                return -1;
            }
            bytes.put(direct.limit(received));
            return received;
        } finally {
            Reference.reachabilityFence(descriptors);
            Reference.reachabilityFence(direct);
        }
    }

    /**
     * {@return who is on the other side, SO_PEERCRED}
     *
     * @throws IOException if the socket is closed
     */
    public PeerCredentials peer() throws IOException {
        Scratch peer = new Scratch(Abi.PEER_LONGS);
        socket.now("peer", fd -> peer.pass(at -> Native.socketPeer(fd, at)));
        return new PeerCredentials(peer.get(Abi.PEER_PID), peer.get(Abi.PEER_UID), peer.get(Abi.PEER_GID));
    }

    /** A descriptor of the process on the other side, which the caller closes. */
    int peerPidfd() throws IOException {
        return (int) socket.now("peer", Native::socketPeerPidfd);
    }

    /** {@return false after {@link #close}} */
    public boolean isOpen() {
        return socket.isOpen();
    }

    /** Closes the socket, after ending calls that wait; a second close does nothing. */
    @Override
    public void close() {
        socket.close();
    }

    @Override
    public String toString() {
        return "UffdSocket[" + socket.name() + (isOpen() ? "" : ", closed") + "]";
    }
}
