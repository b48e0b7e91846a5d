// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.Native;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** A listening Unix-domain socket, made by {@link UffdSocket#listen}. All methods can be called from any thread. */
public final class UffdListener implements AutoCloseable {
    static final int QUEUE = 128;

    private final SocketDescriptor socket;
    private final @Nullable Path path;
    /** Which file it made: another listener may have put its own there meanwhile. */
    private final @Nullable Object key;

    UffdListener(int fd, String name, @Nullable Path path) {
        socket = new SocketDescriptor(fd, name);
        this.path = path;
        key = path == null ? null : keyOf(path);
    }

    private static @Nullable Object keyOf(Path path) {
        try {
            return Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey();
        } catch (IOException e) {
            return null; // deleted already
        }
    }

    /**
     * Limits how long each following {@link #accept} waits. Without it, for ever.
     *
     * @param timeout more than nothing
     * @return this listener
     */
    public UffdListener timeout(Duration timeout) {
        socket.timeout(timeout);
        return this;
    }

    /**
     * Waits for the next connection, accept4(2).
     *
     * @return the connection
     * @throws SocketTimeoutException if nobody connects in time
     * @throws AsynchronousCloseException if another thread closes the listener meanwhile
     * @throws ClosedChannelException if it is closed already
     * @throws IOException EMFILE: too many open files
     */
    public UffdSocket accept() throws IOException {
        return new UffdSocket((int) socket.await("accept", false, Native::socketAccept), socket.name());
    }

    /**
     * Deletes the socket's file, if that is still its own, and closes the socket, after ending calls that wait; a second close does
     * nothing.
     *
     * @throws IOException if the file cannot be deleted
     */
    @Override
    public void close() throws IOException {
        // While the socket is open, no other file has its number.
        try {
            if (socket.isOpen() && path != null && key != null && key.equals(keyOf(path))) {
                Files.deleteIfExists(path);
            }
        } finally {
            socket.close();
        }
    }

    @Override
    public String toString() {
        return "UffdListener[" + socket.name() + (socket.isOpen() ? "" : ", closed") + "]";
    }
}
