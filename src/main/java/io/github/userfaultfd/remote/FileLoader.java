// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;

/**
 * Reads a file. An interrupt of one thread, which is how a load that takes too long is ended, closes a FileChannel for all of
 * them: then it is opened again, if its name still leads to it.
 */
final class FileLoader implements PageLoaders.Closeable {
    private static final int RUN = 256 * 1024;

    private final Path file;
    private final Identity identity;
    private final long size;
    private FileChannel channel;
    private boolean closed;

    /** What tells a file from another one that was given its name, and from itself with other bytes. */
    private record Identity(Object key, long size, FileTime modified) {
        static Identity of(Path file) throws IOException {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            return new Identity(attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
        }
    }

    FileLoader(Path file) throws IOException {
        this.file = file;
        identity = Identity.of(file);
        channel = open();
        size = channel.size();
    }

    /** The name may be given to another file at any moment: what it leads to afterwards as before is what was opened. */
    private FileChannel open() throws IOException {
        FileChannel opened = FileChannel.open(file);
        boolean same = false;
        try {
            same = identity.equals(Identity.of(file));
        } finally {
            if (!same) {
                opened.close();
            }
        }
        if (!same) {
            throw new IOException(file + " was replaced or changed since it was opened: the pages of two files would be mixed");
        }
        return opened;
    }

    private synchronized FileChannel channel() throws IOException {
        if (closed) {
            throw new ClosedChannelException();
        }
        if (!channel.isOpen()) {
            channel = open();
        }
        return channel;
    }

    @Override
    public void load(long offset, ByteBuffer page) throws IOException {
        int start = page.position();
        for (;;) {
            try {
                read(channel(), offset, page);
                return;
            } catch (ClosedByInterruptException e) {
                throw e;
            } catch (ClosedChannelException e) {
                synchronized (this) {
                    if (closed) {
                        throw e;
                    }
                }
                page.position(start);
            }
        }
    }

    private void read(FileChannel from, long offset, ByteBuffer page) throws IOException {
        int start = page.position();
        while (page.hasRemaining()) {
            long at = offset + page.position() - start;
            if (at >= size) {
                page.put((byte) 0);
            } else {
                int length = (int) Math.min(page.remaining(), size - at);
                int read = from.read(page.slice(page.position(), length), at);
                if (read < 0) {
                    throw new EOFException(file + " has become shorter: nothing at offset " + at);
                }
                page.position(page.position() + read);
            }
        }
    }

    @Override
    public int runBytes() {
        return RUN;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public synchronized void close() throws IOException {
        closed = true;
        channel.close();
    }

    @Override
    public String toString() {
        return file.toString();
    }
}
