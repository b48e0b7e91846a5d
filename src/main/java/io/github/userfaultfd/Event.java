// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

/**
 * What a userfaultfd reports, {@code struct uffd_msg}. Addresses are of the process whose memory is registered, lengths are
 * in bytes.
 *
 * <p>Except for page faults, the thread that caused an event sleeps until the event is read, and every filling ioctl is
 * refused with EAGAIN meanwhile. {@code read(2)} hands out page faults before older events: read all, apply the removes, and
 * then resolve the faults (fs/userfaultfd.c).
 *
 * @see <a href="https://man7.org/linux/man-pages/man2/userfaultfd.2.html">userfaultfd(2), "Reading from the userfaultfd
 *     structure"</a>
 */
public sealed interface Event {
    /**
     * A thread waits for a page. The same fault can be reported twice, when a signal interrupted the wait.
     *
     * @param address where; the page's first byte, or the exact one with {@link Feature#EXACT_ADDRESS}
     * @param kind what is needed to resolve it
     * @param write whether the access writes
     * @param threadId the thread, as gettid(2) in its own pid namespace; 0 without {@link Feature#THREAD_ID}
     */
    record PageFault(long address, Kind kind, boolean write, int threadId) implements Event {
        /** What a faulting thread waits for. */
        public enum Kind {
            /** The page is not there: {@link Uffd#copy}, {@link Uffd#zeropage}, {@link Uffd#move} or {@link Uffd#poison}. */
            MISSING,
            /** The page is write-protected: {@link Uffd#removeWriteProtection}. */
            WRITE_PROTECTED,
            /** The page is in the page cache and not in this mapping: {@link Uffd#continueRange}. */
            MINOR,
            /** The page is protected from reading, too: {@link Uffd#removeReadWriteProtection}. */
            READ_WRITE_PROTECTED
        }

        @Override
        public String toString() {
            return "PageFault[" + kind + (write ? " write" : " read") + " at 0x" + Long.toHexString(address)
                    + (threadId == 0 ? "" : " by thread " + threadId) + "]";
        }
    }

    /**
     * The process forked. The child's copies of the registered ranges are registered with the new descriptor, which now
     * belongs to whoever reads this event.
     *
     * <p>fork(3) of glibc holds the locks of malloc until the event is read. So a program that forks itself must not read the
     * event with code that allocates, and Java code does: it would wait for ever. Other processes' forks are no problem, nor are
     * those that share or replace the memory (vfork, posix_spawn, {@link ProcessBuilder}), which raise no event.
     *
     * @param uffd the child's userfaultfd
     */
    record Fork(Uffd uffd) implements Event {}

    /**
     * mremap(2) moved a registered range. With {@link Feature#EVENT_UNMAP} an {@link Unmap} of the old addresses follows.
     *
     * @param from its old address
     * @param to its new address
     * @param length in bytes
     */
    record Remap(long from, long to, long length) implements Event {
        @Override
        public String toString() {
            return "Remap[0x" + Long.toHexString(from) + " to 0x" + Long.toHexString(to) + ", " + length + " bytes]";
        }
    }

    /**
     * madvise(2) (MADV_DONTNEED, MADV_REMOVE, MADV_FREE) is about to take pages out of a registered range. The kernel tells before it
     * does so (mm/madvise.c), and filling ioctls answer EAGAIN until the event was read: the pages may still be there when it is.
     *
     * @param start first address
     * @param end address behind the last byte
     */
    record Remove(long start, long end) implements Event {
        @Override
        public String toString() {
            return "Remove[0x" + Long.toHexString(start) + " to 0x" + Long.toHexString(end) + "]";
        }
    }

    /**
     * munmap(2) took a range away: what the call was given, also when only a part of it was registered.
     *
     * @param start first address
     * @param end address behind the last byte
     */
    record Unmap(long start, long end) implements Event {
        @Override
        public String toString() {
            return "Unmap[0x" + Long.toHexString(start) + " to 0x" + Long.toHexString(end) + "]";
        }
    }

    /**
     * An event that this version of the library has no record for, from a newer kernel.
     *
     * @param number the kernel's number of it
     */
    record Unknown(int number) implements Event {}
}
