// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.checkpoint;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.SystemNames;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.NavigableMap;

/**
 * The newest checkpoint of a directory: a full file and the increments after it, which are open, so that nobody can take them
 * away. For one thread.
 */
public final class CheckpointChain implements Closeable {
    /** How often the writer may complete a full checkpoint and delete the older files while the newest is opened. */
    private static final int TRIES = 100;

    /**
     * How often a directory has to be listed without a checkpoint until there is none. One listing of many files is several calls of
     * the kernel, between which a writer may make a new full checkpoint and delete the one before: neither is seen then.
     */
    private static final int LISTINGS = 20;

    private final Path directory;
    private final Deque<CheckpointFile> files = new ArrayDeque<>();

    /** A source of pages, and the id of the checkpoint that it is of. */
    public record Source(long handle, long id) {}

    /** Opens more of a chain's files, by their names, which the writer may have deleted by then. */
    @FunctionalInterface
    private interface Opening {
        void open(CheckpointChain chain) throws IOException;
    }

    private CheckpointChain(Path directory) {
        this.directory = directory;
    }

    /**
     * Opens the newest checkpoint of a directory.
     *
     * @throws NoSuchFileException if there is none
     * @throws IOException naming the file and the offset, if a file of it is missing or not as it was written
     */
    public static CheckpointChain open(Path directory) throws IOException {
        return open(directory, chain -> { });
    }

    private static CheckpointChain open(Path directory, Opening opening) throws IOException {
        long before = 0;
        for (int i = 0; i < TRIES; i++) {
            NavigableMap<Long, Path> found = CheckpointDirectory.files(directory);
            if (found.isEmpty()) {
                if (i < LISTINGS) {
                    continue;
                }
                throw new NoSuchFileException(directory.toString(), null, "there is no checkpoint in this directory");
            }
            long newest = found.lastKey();
            CheckpointChain chain = new CheckpointChain(directory);
            boolean complete = false;
            try {
                chain.openFiles(found);
                opening.open(chain);
                complete = true;
                return chain;
            } catch (NoSuchFileException e) {
                if (newest == before) {
                    throw e;
                }
                before = newest;
            } finally {
                if (!complete) {
                    chain.close();
                }
            }
        }
        throw new IOException("the checkpoints of " + directory + " are replaced faster than they can be opened");
    }

    /** Opens the newest checkpoint, or says by null that there is none. */
    public static CheckpointChain openIfAny(Path directory) throws IOException {
        return CheckpointDirectory.files(directory).isEmpty() ? null : open(directory);
    }

    private void openFiles(NavigableMap<Long, Path> found) throws IOException {
        Map.Entry<Long, Path> next = found.lastEntry();
        for (;;) {
            CheckpointFile file = CheckpointFile.open(next.getValue());
            CheckpointFile after = files.peekFirst();
            files.addFirst(file);
            checkName(file, next.getKey());
            checkLink(file, after);
            if (file.isFull()) {
                return;
            }
            Path base = found.get(file.baseNumber());
            if (base == null) {
                throw new NoSuchFileException(directory.resolve(CheckpointFormat.name(file.baseNumber(), false)).toString(), null,
                        file.path().getFileName() + " adds to checkpoint " + file.baseNumber() + ", which is missing");
            }
            next = Map.entry(file.baseNumber(), base);
        }
    }

    private static void checkName(CheckpointFile file, long number) throws IOException {
        String name = CheckpointFormat.name(file.number(), file.isFull());
        if (file.number() != number || !file.path().getFileName().toString().equals(name) || file.baseNumber() >= number) {
            throw CheckpointFormat.damaged(file.path(), file.bytes() - CheckpointFormat.TRAILER_LENGTH,
                    "the trailer is that of " + name + ", added to checkpoint " + file.baseNumber());
        }
    }

    private static void checkLink(CheckpointFile file, CheckpointFile after) throws IOException {
        if (after != null && (after.baseId() != file.id() || after.regionSize() != file.regionSize()
                || after.pageSize() != file.pageSize())) {
            throw CheckpointFormat.damaged(after.path(), after.bytes() - CheckpointFormat.TRAILER_LENGTH,
                    "it does not add to the file " + file.path().getFileName() + " that is here");
        }
    }

    /** {@return the full file and then the increments} */
    public Deque<CheckpointFile> files() {
        return files;
    }

    public CheckpointFile newest() {
        return files.getLast();
    }

    /**
     * Checks that a region can take the pages.
     *
     * @throws IllegalArgumentException naming the sizes if it cannot
     */
    public void checkFits(long regionSize, long pageSize) {
        CheckpointFile any = newest();
        if (any.pageSize() != pageSize) {
            throw new IllegalArgumentException("the checkpoints of " + directory + " have pages of " + any.pageSize()
                    + " bytes, the region has pages of " + pageSize + " bytes");
        }
        if (any.regionSize() != regionSize) {
            throw new IllegalArgumentException("the checkpoints of " + directory + " are of a region of " + any.regionSize()
                    + " bytes, the region has " + regionSize + " bytes");
        }
    }

    /**
     * Makes a source of a directory's newest checkpoint for {@code Native.pagerStart}, which opens the files for itself.
     *
     * @return its handle, and the id of the checkpoint
     * @throws IllegalArgumentException if the region is of another kind than the one that was saved
     * @throws UnsupportedOperationException if a file is compressed
     */
    public static Source openSource(Path directory, long regionSize, long pageSize) throws IOException {
        Source[] source = new Source[1];
        CheckpointChain opened = open(directory, chain -> {
            chain.checkFits(regionSize, pageSize);
            source[0] = new Source(chain.openSource(), chain.newest().id());
        });
        try {
            opened.close();
        } catch (IOException e) {
            Native.sourceFree(source[0].handle());
            throw e;
        }
        return source[0];
    }

    private long openSource() throws IOException {
        ByteArrayOutputStream names = new ByteArrayOutputStream();
        long count = 0;
        for (CheckpointFile each : files) {
            if (each.isCompressed()) {
                throw new UnsupportedOperationException("the checkpoint file " + each.path()
                        + " is compressed, so its pages cannot be filled lazily: restore all with Checkpoint.restore");
            }
            names.write(SystemNames.ended(each.path().toRealPath().toString()));
            count += each.runs();
        }
        ByteBuffer nativeNames = ByteBuffer.allocateDirect(names.size()).put(names.toByteArray());
        Scratch runs = runs(count);
        Scratch options = new Scratch(Abi.RUNS_LONGS)
                .set(Abi.RUNS_FILES, files.size())
                .set(Abi.RUNS_COUNT, count)
                .set(Abi.RUNS_LENGTH, newest().regionSize())
                .set(Abi.RUNS_PAGE, newest().pageSize());
        long handle;
        try {
            options.set(Abi.RUNS_NAMES, Native.directAddress(nativeNames));
            handle = runs.pass(address -> options.set(Abi.RUNS_RUNS, address).pass(Native::sourceRuns));
        } finally {
            Reference.reachabilityFence(nativeNames);
        }
        if (handle == -Abi.ENOENT) {
            throw new NoSuchFileException(directory.toString(), null, "a file of the newest checkpoint was deleted meanwhile");
        }
        if (handle < 0) {
            throw new UffdException("open", (int) -handle, "the checkpoint files of " + directory);
        }
        return handle;
    }

    private Scratch runs(long count) throws IOException {
        if (count > Integer.MAX_VALUE / (Abi.RUN_LONGS * Long.BYTES)) {
            throw new UnsupportedOperationException("the checkpoint in " + directory + " has " + count
                    + " runs, too many to be filled lazily: restore all with Checkpoint.restore");
        }
        Scratch runs = new Scratch((int) count * Abi.RUN_LONGS);
        int at = 0;
        int number = 0;
        for (CheckpointFile each : files) {
            CheckpointIndex index = each.index();
            for (int run = 0; run < index.runs(); run++, at += Abi.RUN_LONGS) {
                runs.set(at + Abi.RUN_OFFSET, index.offset(run))
                        .set(at + Abi.RUN_LENGTH, index.length(run))
                        .set(at + Abi.RUN_FILE, index.stored(run) == 0 ? -1 : number)
                        .set(at + Abi.RUN_FILE_OFFSET, index.fileOffset(run))
                        .set(at + Abi.RUN_CRC, index.crc(run));
            }
            number++;
        }
        return runs;
    }

    @Override
    public void close() throws IOException {
        for (CheckpointFile each : files) {
            each.close();
        }
    }
}
