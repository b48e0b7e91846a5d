// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;

/** A directory of checkpoints that one process writes to: the lock is held until close. Reading needs no lock. */
public final class CheckpointDirectory implements Closeable {
    private static final String LOCK = "lock";

    /**
     * Those of this JVM. Its own second attempt must not even open the lock file: to close it again would take the lock away from
     * the first one (fcntl(2)).
     */
    private static final Set<Object> HELD = ConcurrentHashMap.newKeySet();

    /** Opened before it was known that a copy of this class in another class loader has the lock: never closed, for the same reason. */
    private static final Set<FileChannel> OPENED_IN_VAIN = ConcurrentHashMap.newKeySet();

    private final Path path;
    private final Object key;
    private final FileChannel channel;

    private CheckpointDirectory(Path path, Object key) throws IOException {
        this.path = path;
        this.key = key;
        channel = FileChannel.open(path.resolve(LOCK), StandardOpenOption.WRITE, StandardOpenOption.CREATE);
        try {
            FileLock lock = channel.tryLock();
            if (lock == null) {
                throw taken(path, "another process");
            }
        } catch (OverlappingFileLockException e) {
            OPENED_IN_VAIN.add(channel);
            throw taken(path, "this process");
        } catch (IOException | RuntimeException e) {
            try {
                channel.close();
            } catch (IOException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
    }

    /**
     * Takes the lock, clears away what was never completed, and makes durable what was: whoever renamed the newest file may have died
     * before, and the older ones must not be deleted for one that a crash takes away.
     *
     * @throws NoSuchFileException or NotDirectoryException if there is no such directory
     * @throws IllegalStateException if somebody has it
     */
    public static CheckpointDirectory lock(Path directory) throws IOException {
        Path path = directory.toRealPath();
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        if (!attributes.isDirectory()) {
            throw new NotDirectoryException(path.toString());
        }
        Object key = attributes.fileKey();
        if (!HELD.add(key)) {
            throw taken(path, "this process");
        }
        CheckpointDirectory locked;
        try {
            locked = new CheckpointDirectory(path, key);
        } catch (IOException | RuntimeException e) {
            HELD.remove(key);
            throw e;
        }
        try {
            locked.deletePartial();
            force(path);
        } catch (IOException | RuntimeException e) {
            locked.close();
            throw e;
        }
        return locked;
    }

    private static IllegalStateException taken(Path path, String by) {
        return new IllegalStateException("the checkpoint directory " + path + " is written by " + by + " already");
    }

    private void deletePartial() throws IOException {
        for (Path each : list(path)) {
            String name = each.getFileName().toString();
            if (name.endsWith(CheckpointFormat.PARTIAL)
                    && CheckpointFormat.NAME.matcher(name.substring(0, name.length() - CheckpointFormat.PARTIAL.length())).matches()) {
                Files.deleteIfExists(each);
            }
        }
    }

    private static List<Path> list(Path directory) throws IOException {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory)) {
            all.forEach(entries::add);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return entries;
    }

    public Path path() {
        return path;
    }

    /** {@return the complete files by their numbers} */
    static NavigableMap<Long, Path> files(Path directory) throws IOException {
        NavigableMap<Long, Path> files = new TreeMap<>();
        for (Path each : list(directory)) {
            Matcher name = CheckpointFormat.NAME.matcher(each.getFileName().toString());
            if (name.matches()) {
                Path other = files.put(Long.valueOf(name.group(1)), each);
                if (other != null) {
                    throw CheckpointFormat.damaged(each, 0, "there is also " + other.getFileName());
                }
            }
        }
        return files;
    }

    /** Deletes the complete files below a number: that of a full checkpoint, which is durable. */
    public void deleteBelow(long number) throws IOException {
        for (Path each : files(path).headMap(number, false).values()) {
            Files.deleteIfExists(each);
        }
    }

    /** fsync(2) of a directory: what was renamed there is durable afterwards. */
    static void force(Path directory) throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            HELD.remove(key);
        }
    }
}
