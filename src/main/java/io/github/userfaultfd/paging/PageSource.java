// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.checkpoint.CheckpointChain;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.SystemNames;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/**
 * Where the pages of a region come from: the byte at an offset of the region is the byte at the same offset of the source. A
 * source only describes; it can serve several pagers. It has to reach into the region's last page, whose rest reads as zeros; memory
 * has to cover that page too.
 */
public abstract sealed class PageSource {
    private static final int LONGEST_PLACE = 4200; // PATH_MAX, and a number

    private PageSource() {}

    /**
     * A whole file, mapped read-only while it is in use. It must not be cut short meanwhile; one that is ends the process, or as
     * {@link FailurePolicy} says. Its size is looked at before and after each copy. What is less
     * than a page at its end is read when the pager starts.
     *
     * @param path a regular file
     * @return the source
     */
    public static PageSource file(Path path) {
        return new OfFile(path, 0, -1);
    }

    /**
     * A part of a file, mapped read-only while it is in use. What is less than a page at its end is read when the pager starts.
     *
     * @param path a regular file
     * @param offset where the part begins, a multiple of the system's page size
     * @param length its length in bytes
     * @return the source
     */
    public static PageSource file(Path path, long offset, long length) {
        Ranges.checkLength("PageSource.file", "offset", offset, length);
        if (offset % Ranges.PAGE != 0) {
            throw new IllegalArgumentException("PageSource.file: offset " + offset + " is not a multiple of the page size, "
                    + Ranges.PAGE + " bytes");
        }
        return new OfFile(path, offset, length);
    }

    /**
     * Memory of this process, which has to stay mapped and readable while a pager uses it.
     *
     * @param address the first byte
     * @param length in bytes
     * @return the source
     */
    public static PageSource memory(long address, long length) {
        Ranges.checkLength("PageSource.memory", "address", address, length);
        return new OfMemory(address, length);
    }

    /**
     * The newest checkpoint of a directory that {@code Checkpoint} of package {@code snapshot} wrote, at the time when the pager starts.
     * The region has to have the size and the page size of the one that was saved. Only the files' indexes are read then; one fault
     * reads one run of up to 64 KiB, <b>and checks its checksum before any page of it is used</b>. A run that is damaged is a page
     * that cannot be filled: see {@link FailurePolicy}, and the message names the file and the offset. The directory may be written to
     * meanwhile; the files must not be changed by other means. Compressed checkpoints cannot be filled lazily.
     *
     * @param directory where the checkpoints are
     * @return the source
     */
    public static PageSource checkpoint(Path directory) {
        return new OfCheckpoint(directory);
    }

    /** {@return a source of zeros, as long as any region} */
    public static PageSource zeros() {
        return new Zeros();
    }

    /** A source that is open: its native handle, and the {@link RegionOwner#holds image} that it is of. */
    record Opened(long handle, long image) {}

    /**
     * Opens the source for a region.
     *
     * @return the native handle, and which image it is of
     */
    abstract Opened open(long regionLength, long regionPage) throws IOException;

    /** {@return whether it is memory that shares bytes with a range} */
    boolean reads(long address, long length) {
        return false;
    }

    /** {@return what to name as the place of the page at an offset; at -1: of the page that last could not be had} */
    final String place(long handle, long offset) {
        ByteBuffer text = ByteBuffer.allocateDirect(LONGEST_PLACE);
        int length = Scratch.passBuffer(text, address -> Native.sourcePlace(handle, offset, address, text.capacity()));
        return length < 0 ? toString() : this + ", of " + SystemNames.text(text.limit(Math.min(length, LONGEST_PLACE - 1)));
    }

    final void checkReaches(long sourceLength, long regionLength, long regionPage) {
        if (sourceLength <= regionLength - regionPage) {
            throw new IllegalArgumentException("the source " + this + " has " + sourceLength
                    + " bytes and does not reach into the last page of the region of " + regionLength + " bytes");
        }
    }

    private static Opened opened(String what, long result) throws UffdException {
        if (result < 0) {
            throw new UffdException("open", (int) -result, "the source " + what);
        }
        return new Opened(result, 0);
    }

    private static final class OfFile extends PageSource {
        private final Path path;
        private final long offset;
        private final long length;

        OfFile(Path path, long offset, long length) {
            this.path = Objects.requireNonNull(path, "path");
            this.offset = offset;
            this.length = length;
        }

        @Override
        Opened open(long regionLength, long regionPage) throws IOException {
            Path file = path.toRealPath();
            if (!Files.isRegularFile(file)) {
                throw new IllegalArgumentException("the source " + file + " is not a regular file");
            }
            long size = length < 0 ? Files.size(file) : length;
            if (offset + size > Files.size(file)) {
                throw new IllegalArgumentException("the source " + this + " ends behind the file's end at " + Files.size(file));
            }
            checkReaches(size, regionLength, regionPage);
            byte[] name = SystemNames.ended(file.toString());
            ByteBuffer nativeName = ByteBuffer.allocateDirect(name.length).put(name);
            try {
                long used = Math.min(size, regionLength);
                return opened(toString(), Native.sourceFile(Native.directAddress(nativeName), offset, used, regionLength));
            } finally {
                Reference.reachabilityFence(nativeName);
            }
        }

        @Override
        public String toString() {
            return path + (length < 0 ? "" : " at offset " + offset + ", " + length + " bytes");
        }
    }

    private static final class OfMemory extends PageSource {
        private final long address;
        private final long length;

        OfMemory(long address, long length) {
            this.address = address;
            this.length = length;
        }

        @Override
        Opened open(long regionLength, long regionPage) throws IOException {
            // UFFDIO_COPY reads whole pages of the region's size.
            if (length < regionLength) {
                throw new IllegalArgumentException("the source " + this + " is shorter than the region of " + regionLength
                        + " bytes");
            }
            long first = address / Ranges.PAGE * Ranges.PAGE;
            if (Native.isMapped(first, address + regionLength - first) < 0) {
                throw new UffdException("open", Abi.ENOMEM, "the source " + this, "part of that memory is not mapped");
            }
            if (RegionOwner.isPagedWithin(address, regionLength)) {
                throw new IllegalArgumentException("the source " + this
                        + " is itself a paged region: pages cannot be copied from memory that is missing");
            }
            return opened(toString(), Native.sourceMemory(address, regionLength));
        }

        @Override
        boolean reads(long start, long bytes) {
            return start < address + length && address < start + bytes;
        }

        @Override
        public String toString() {
            return "memory " + Ranges.text(address, length);
        }
    }

    private static final class OfCheckpoint extends PageSource {
        private final Path directory;

        OfCheckpoint(Path directory) {
            this.directory = Objects.requireNonNull(directory, "directory");
        }

        @Override
        Opened open(long regionLength, long regionPage) throws IOException {
            CheckpointChain.Source source = CheckpointChain.openSource(directory, regionLength, regionPage);
            return new Opened(source.handle(), source.id());
        }

        @Override
        public String toString() {
            return "checkpoint " + directory;
        }
    }

    private static final class Zeros extends PageSource {
        @Override
        Opened open(long regionLength, long regionPage) throws IOException {
            return opened(toString(), Native.sourceMemory(0, regionLength));
        }

        @Override
        public String toString() {
            return "zeros";
        }
    }
}
