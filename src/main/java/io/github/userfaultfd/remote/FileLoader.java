// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import org.jspecify.annotations.Nullable;

/**
 * Reads a file. An interrupt of one thread, which is how a load is ended that takes too long or whose process has ended, closes a
 * FileChannel for all of them: then it is opened again, though its name may lead to another file by now.
 */
final class FileLoader implements PageLoaders.Closeable {
    private static final int RUN = 256 * 1024;
    private static final Path DESCRIPTORS = Path.of("/proc/self/fd");

    private final Path file;
    private final Identity identity;
    private final long size;
    /** Nobody reads from it, so no interrupt closes it: by this the file can be opened again when it has no name any more. */
    private final @Nullable FileInputStream kept;
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
        channel = open(file);
        size = channel.size();
        try {
            kept = file.getFileSystem() == FileSystems.getDefault() ? new FileInputStream(file.toFile()) : null;
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /** The name may be given to another file at any moment: what it leads to afterwards as before is what was opened. */
    private FileChannel open(Path name) throws IOException {
        FileChannel opened = FileChannel.open(name);
        boolean same = false;
        try {
            same = identity.equals(Identity.of(name));
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
            channel = openAgain();
        }
        return channel;
    }

    private FileChannel openAgain() throws IOException {
        try {
            return open(file);
        } catch (IOException byName) {
            try (DirectoryStream<Path> all = Files.newDirectoryStream(DESCRIPTORS)) {
                for (Path each : all) {
                    if (isThis(each)) {
                        return open(each);
                    }
                }
            } catch (IOException | DirectoryIteratorException e) {
                byName.addSuppressed(e);
            }
            throw byName;
        }
    }

    private boolean isThis(Path descriptor) {
        try {
            return identity.equals(Identity.of(descriptor));
        } catch (IOException e) {
            return false; // closed meanwhile, or nothing that has attributes
        }
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
        try {
            channel.close();
        } finally {
            if (kept != null) {
                kept.close();
            }
        }
    }

    @Override
    public String toString() {
        return file.toString();
    }
}
