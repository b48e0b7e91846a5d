// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.nio.ByteBuffer;

/**
 * Every native method, alphabetical. Arguments are primitives and addresses of native memory; each returns a value &gt;= 0
 * or {@code -errno}. C never throws and never calls back. Callers check arguments and keep descriptors and handles alive.
 */
public final class Native {
    static {
        NativeLibrary.load();
    }

    private Native() {}

    /** close(2). */
    public static native int close(int fd);

    /** UFFDIO_CONTINUE; bytes mapped. */
    public static native long continueRange(int fd, long start, long length, long mode);

    /** UFFDIO_COPY; bytes copied. */
    public static native long copy(int fd, long destination, long source, long length, long mode);

    /** Opens a userfaultfd and shakes hands; {@code created} is the address of {@link Abi#CREATED_LONGS} longs. The descriptor. */
    public static native int create(int flags, int openMethod, long features, long ioctls, long created);

    /** The address of a direct buffer's first byte. */
    public static native long directAddress(ByteBuffer buffer);

    /** A direct buffer over memory that somebody else keeps alive. */
    public static native ByteBuffer directBuffer(long address, long capacity);

    /** Keeps what the last scan found and nobody took for the next one. */
    public static native int dirtyKeep(long dirty);

    /** Makes the next scan report a range, and protects it again. */
    public static native int dirtyMark(long dirty, long offset, long length);

    /** Makes the next scan report a range. */
    public static native int dirtyNote(long dirty, long offset, long length);

    /** Takes up to {@code capacity} ranges of {@link Abi#RANGE_LONGS} longs out of the last scan; how many. */
    public static native int dirtyRanges(long dirty, long ranges, int capacity);

    /** PAGEMAP_SCAN of a range; -errno if it failed and everything counts as written. */
    public static native int dirtyScan(long dirty, long offset, long length, boolean rearm);

    /** Registers and protects a range; the tracker's handle. */
    public static native long dirtyStart(int fd, long address, long length);

    /** A tracker over inline write-protect that was started unchanged; its handle. */
    public static native long dirtyStartInline(long wp);

    /** Unregisters the range and frees the tracker. */
    public static native int dirtyStop(long dirty);

    /** madvise(MADV_DONTNEED). */
    public static native int discard(long address, long length);

    /** Makes blocking calls under way on {@code fd} return -EINTR. */
    public static native int interrupt(int fd);

    /** msync(2) of nothing: 0 if each page of the range is mapped, else -ENOMEM. */
    public static native int isMapped(long address, long length);

    /** Tells the child runs to load ahead, an offset and a length each; all, or -EAGAIN. */
    public static native int keeperAhead(long keeper, long runs, long bytes);

    /** Replaces the region by a mapping that raises SIGBUS, wakes whoever waits for a page, and ends the child. */
    public static native int keeperDetach(long keeper);

    /** Unregisters a region that has all its pages, and ends the child. */
    public static native int keeperFinish(long keeper);

    /** Frees a keeper that was finished or detached. */
    public static native int keeperFree(long keeper);

    /** Why the first page failed, in UTF-8, ended by a zero byte, to the address {@code text}; its length. */
    public static native int keeperReason(long keeper, long text, int room);

    /**
     * Registers a region and starts a process that serves it, and another whenever that dies; {@code options} is the address of
     * {@link Abi#KEEPER_LONGS} longs, {@code status} of one that gets the child's if it ended at once. Blocks until it
     * serves. The keeper's handle; it does not take over the descriptor.
     */
    public static native long keeperStart(long options, long status);

    /** Copies {@link Abi#KEPT_LONGS} longs. */
    public static native int keeperStats(long keeper, long stats);

    /** mmap(2) of one {@link Abi#MEMORY_ANONYMOUS kind}; {@code memory} is the address of {@link Abi#MEMORY_LONGS} longs. */
    public static native int mapMemory(int kind, long length, long pageSize, long memory);

    /** UFFDIO_MOVE; bytes moved. */
    public static native long move(int fd, long destination, long source, long length, long mode);

    /** Sets O_NONBLOCK, fcntl(2). */
    public static native int nonBlocking(int fd);

    /** Lets a second mapping be touched, mprotect(2). */
    public static native int openAlias(long address, long length);

    /** getpagesize(2). */
    public static native int pageSize();

    /** Does one PAGEMAP_SCAN of one page; 0 if the kernel has it. */
    public static native int pagemapScanProbe();

    /** Replaces the region by a mapping that raises SIGBUS, wakes whoever waits for a page, and stops the engine. */
    public static native int pagerDetach(long pager);

    /** The errno value of the latest failed page, 0 without one. */
    public static native int pagerFailedErrno(long pager);

    /** Fills every missing page of a range; 0 or what stopped it. */
    public static native int pagerFill(long pager, long offset, long length);

    /** Fills what is missing, unregisters the region, and stops the engine; 0 or what stopped the filling, and all goes on. */
    public static native int pagerFinish(long pager);

    /** Frees a pager that was finished or detached, when its region is given up or about to be served by another. */
    public static native int pagerFree(long pager);

    /** The offset of the first failed page from {@code offset} on, or -ENOENT. */
    public static native long pagerNextFailed(long pager, long offset);

    /**
     * Registers a region and starts the engine; {@code options} is the address of {@link Abi#OPTION_LONGS} longs. The pager's
     * handle. It takes over neither descriptor nor source.
     */
    public static native long pagerStart(long options);

    /** Copies {@link Abi#STATS_LONGS} longs. */
    public static native int pagerStats(long pager, long stats);

    /** pidfd_open(2), close-on-exec. */
    public static native int pidfdOpen(long pid);

    /** pidfd_send_signal(2); number 0 only looks whether the process is there. */
    public static native int pidfdSignal(int pidfd, int number);

    /** UFFDIO_POISON; bytes poisoned. */
    public static native long poison(int fd, long start, long length, long mode);

    /** ppoll(2) for input; 1 if there is some, 0 after the time. Negative time: no limit. */
    public static native int poll(int fd, long nanoseconds);

    /** Like {@link #poll}, and 2 is added when the process of {@code pidfd} has ended; -1 for none. */
    public static native int pollOrEnd(int fd, int pidfd, long nanoseconds);

    /** ppoll(2) of a socket for input or output; 1 if a call would not block, 0 after the time. */
    public static native int pollSocket(int fd, boolean output, long nanoseconds);

    /** madvise(MADV_REMOVE). */
    public static native int punchHole(long address, long length);

    /** read(2) of up to {@code capacity} messages to the address {@code buffer}; how many. */
    public static native int readEvents(int fd, long buffer, int capacity);

    /** UFFDIO_RWPROTECT. */
    public static native int readWriteProtect(int fd, long start, long length, long mode);

    /** UFFDIO_REGISTER; the range's ioctls as a mask. */
    public static native long register(int fd, long start, long length, long mode);

    /** mincore(2): sets one bit for each resident page of {@code pageSize} bytes in the bit set at address {@code bits}. */
    public static native int residency(long address, long length, long pageSize, long bits);

    /** Puts a mapping that raises SIGBUS over the range. */
    public static native int retire(long address, long length);

    /** UFFDIO_SET_MODE: feature bits. */
    public static native int setMode(int fd, long enable, long disable);

    /** 1 if a SIGBUS comes to this library first, else 0. */
    public static native int sigbusIsOurs();

    /** Begins a snapshot: protects what was written, and from now on saves what is. */
    public static native int snapshotBegin(long wp);

    /** Up to {@code capacity} ranges of {@link Abi#RANGE_LONGS} longs that this snapshot says changed, from an offset on; how many. */
    public static native int snapshotChanged(long wp, long offset, long ranges, int capacity);

    /** Ends the snapshot and frees what was saved. */
    public static native int snapshotEnd(long wp);

    /** Makes the next snapshot report the changes of this one too. */
    public static native int snapshotKeep(long wp);

    /** Copies a part of the image to memory that nothing protects; 0 or -errno. */
    public static native int snapshotRead(long wp, long offset, long length, long to);

    /** Gives up a part of the image. */
    public static native int snapshotRelease(long wp, long offset, long length);

    /** What was saved; {@code stats} is the address of {@link Abi#SAVED_LONGS} longs. */
    public static native int snapshotStats(long wp, long stats);

    /** accept4(2), non-blocking and close-on-exec; the connection, or -EAGAIN. */
    public static native int socketAccept(int listener);

    /** connect(2) to the name of {@code length} bytes at an address; one that begins with a zero byte is abstract. */
    public static native int socketConnect(long name, int length);

    /** bind(2) and listen(2). */
    public static native int socketListen(long name, int length, int backlog);

    /** SO_PEERCRED; {@code peer} is the address of {@link Abi#PEER_LONGS} longs. */
    public static native int socketPeer(int fd, long peer);

    /** SO_PEERPIDFD, or pidfd_open(2) of the peer's number on kernels before 6.5. */
    public static native int socketPeerPidfd(int fd);

    /** recvmsg(2) without waiting; bytes, 0 at the end. {@code descriptors} is the address of ints; unused ones become -1. */
    public static native long socketReceive(int fd, long bytes, int length, long descriptors, int room);

    /** sendmsg(2) without waiting or SIGPIPE; bytes sent. The descriptors go with the first byte. */
    public static native long socketSend(int fd, long bytes, int length, long descriptors, int count);

    /** Maps a file read-only as a source; {@code path} is the address of a zero-terminated name. Its handle. */
    public static native long sourceFile(long path, long offset, long length, long mappedLength);

    /** Frees a source. */
    public static native int sourceFree(long source);

    /** Takes memory as a source, or zeros if the address is 0. Its handle. */
    public static native long sourceMemory(long address, long length);

    /**
     * The file and offset of the page at an offset, at -1 of the last that failed, in the file system's encoding, to the address
     * {@code text}; its length, or -ENOENT if there is none to tell.
     */
    public static native int sourcePlace(long source, long offset, long text, int room);

    /** Takes runs of pages in files as a source; {@code options} is the address of {@link Abi#RUNS_LONGS} longs. Its handle. */
    public static native long sourceRuns(long options);

    /** Reads one byte of each {@code step} bytes in native state; -EFAULT if a page raised SIGBUS. */
    public static native int touch(long address, long length, long step);

    /** munmap(2). */
    public static native int unmap(long address, long length);

    /** Makes a file without a name in a directory; {@code path} is the address of its zero-terminated name. The descriptor. */
    public static native int unnamedFile(long path);

    /** UFFDIO_UNREGISTER. */
    public static native int unregister(int fd, long start, long length);

    /** UFFDIO_WAKE. */
    public static native int wake(int fd, long start, long length);

    /** Frees what a stopped one left, when nobody comes late any more. */
    public static native int wpFree(long wp);

    /** Saves and opens pages. */
    public static native int wpOpen(long wp, long offset, long length);

    /** Registers a range; {@code options} is the address of {@link Abi#WP_LONGS} longs. Its handle. */
    public static native long wpStart(long options);

    /** Lifts all protection and unregisters the range. */
    public static native int wpStop(long wp);

    /** UFFDIO_WRITEPROTECT. */
    public static native int writeProtect(int fd, long start, long length, long mode);

    /** Protects a page and writes to it; 0 if the kernel refuses that write. */
    public static native int writeProtectProbe();

    /** UFFDIO_ZEROPAGE; bytes filled. */
    public static native long zeropage(int fd, long start, long length, long mode);
}
