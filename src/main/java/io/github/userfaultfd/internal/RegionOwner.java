// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.io.IOException;
import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Stream;

/**
 * The one owner of a region's addresses and of its faults. The kernel allows one userfaultfd a range, so whoever resolves the
 * region's faults is noted here, and a second one is refused.
 *
 * <p>Addresses are given back when nobody can use them: the region is closed or unreachable, and so is each buffer over it.
 */
public final class RegionOwner implements Runnable {
    private static final ConcurrentSkipListMap<Long, RegionOwner> LIVE = new ConcurrentSkipListMap<>();

    /** Those who copy from memory, which may be a region's. */
    private static final Set<Reader> READERS = ConcurrentHashMap.newKeySet();

    private final int kind;
    private final long address;
    private final long alias;
    private final int memoryFd;
    private final long length;
    private final long pageSize;
    private final UseCount uses = new UseCount();
    private final AtomicInteger holders = new AtomicInteger(1);
    private final ReadWriteLock pages = new ReentrantReadWriteLock();
    private final Object startLock = new Object();
    private volatile WeakReference<Object> region = new WeakReference<>(null);
    private volatile long image;
    private boolean aliasIsOpen;
    private boolean givenUp;
    private Service service;
    private Service beside;
    private Runnable leftover = () -> { };

    /** Who resolves the faults of a region. Implemented above, known here only by what a region needs of it. */
    public interface Service {
        /**
         * Puts every page of a range in place, if the service is one that brings pages.
         *
         * @return false if it is not, or has ended meanwhile
         * @throws IOException if a page cannot be had
         */
        boolean fill(long offset, long length) throws IOException;

        /** {@return whether it is one that brings pages: others only protect them, or note what was written} */
        default boolean bringsPages() {
            return true;
        }

        /**
         * Pages are about to be taken away.
         *
         * @return 0 if they may be, or -errno
         */
        default int takesAway(long offset, long length) {
            return 0;
        }

        /** Pages were taken away: they are missing, and whatever was protected about them is gone. */
        void tookAway(long offset, long length);

        /** {@return the native pager beside which somebody else may protect pages with its {@link #descriptor}, 0 if nobody may} */
        default long pager() {
            return 0;
        }

        /** {@return the userfaultfd that the region is registered with} */
        default int descriptor() {
            throw new UnsupportedOperationException();
        }

        /** The region ends: late faults must not see pages that were never filled. Afterwards the service is unclaimed. */
        void regionCloses();
    }

    /** Who copies from memory while it is open. */
    public interface Reader {
        /** {@return whether it copies from memory that shares bytes with a range} */
        boolean reads(long start, long bytes);
    }

    /** Notes who copies from memory from now on, until {@link #readsNoMore}. */
    public static void reads(Reader reader) {
        READERS.add(reader);
    }

    /** Ends what {@link #reads} began. */
    public static void readsNoMore(Reader reader) {
        READERS.remove(reader);
    }

    /**
     * For who is about to take all pages away.
     *
     * @throws IllegalStateException naming who copies from the region
     */
    public void refuseIfRead() {
        for (Reader each : READERS) {
            if (each.reads(address, length) || alias != 0 && each.reads(alias, length)) {
                throw new IllegalStateException("the region " + Ranges.text(address, length) + " is the source of " + each);
            }
        }
    }

    /** Notes which image the region holds from now on, for as long as nobody writes to it; 0 for none that is known. */
    public synchronized void holds(long imageId) {
        image = imageId;
    }

    /** {@return the image that it held last} */
    public long image() {
        return image;
    }

    /** Makes a service. */
    public interface Start<T> {
        /** {@return the service, running} */
        T run() throws IOException;
    }

    /** Takes over mappings that were just made; {@code memory} has what {@code Native.mapMemory} told. */
    public RegionOwner(int kind, long length, long pageSize, Scratch memory) {
        this.kind = kind;
        this.length = length;
        this.pageSize = pageSize;
        address = memory.get(Abi.MEMORY_ADDRESS);
        alias = memory.get(Abi.MEMORY_ALIAS);
        memoryFd = (int) memory.get(Abi.MEMORY_FD);
        LIVE.put(address, this);
    }

    /** Notes whose owner this is. */
    public void belongsTo(Object itsRegion) {
        region = new WeakReference<>(itsRegion);
    }

    /**
     * The owner of an open region, which is at an address: another one may be there when the region is closed.
     *
     * @throws IllegalStateException if the region is closed
     */
    public static RegionOwner of(Object region, long address) {
        RegionOwner owner = LIVE.get(address);
        if (owner == null || owner.region.get() != region || owner.isClosed()) {
            throw new IllegalStateException(region + " is closed");
        }
        return owner;
    }

    /** {@return whether somebody brings the pages of a region that shares bytes with a range, or whose second mapping does} */
    public static boolean isPagedWithin(long address, long length) {
        return LIVE.values().stream().anyMatch(each -> each.isPaged() && each.shares(address, length));
    }

    private boolean isPaged() {
        Service now = service();
        return now != null && now.bringsPages();
    }

    private boolean shares(long from, long bytes) {
        return meets(address, from, bytes) || alias != 0 && meets(alias, from, bytes);
    }

    private boolean meets(long mapping, long from, long bytes) {
        return from < mapping + length && mapping < from + bytes;
    }

    public int kind() {
        return kind;
    }

    public long address() {
        return address;
    }

    /** {@return the address of a second mapping of the same pages, 0 without one} */
    public long alias() {
        return alias;
    }

    /**
     * {@return the address of the second mapping, which may be touched from now on}
     *
     * @throws IllegalStateException if somebody brings the pages: one that is touched there before it was brought would be zeros
     */
    public synchronized long openAlias() {
        if (service != null && service.bringsPages()) {
            throw new IllegalStateException("the pages of the memory region at 0x" + Long.toHexString(address) + " are brought by "
                    + service + ": one that is touched through the second mapping before would be zeros");
        }
        int failed = aliasIsOpen ? 0 : Native.openAlias(alias, length);
        if (failed < 0) {
            throw new IllegalStateException("the second mapping of the memory region at 0x" + Long.toHexString(address)
                    + " cannot be opened: " + Errno.name(-failed));
        }
        aliasIsOpen = true;
        return alias;
    }

    /** {@return the memfd below the mapping, -1 without one} */
    public int memoryFd() {
        return memoryFd;
    }

    public long length() {
        return length;
    }

    public long pageSize() {
        return pageSize;
    }

    /** Begins a call on the region's memory, which {@link #exit} has to end. */
    public void enter() {
        if (!uses.acquire()) {
            throw new IllegalStateException("the memory region at 0x" + Long.toHexString(address) + " is closed");
        }
    }

    /** Ends a call. */
    public void exit() {
        uses.release();
    }

    public boolean isClosed() {
        return uses.isClosed();
    }

    /** Held for reading by whoever takes pages away, for writing by whoever relies on none being missing. */
    public ReadWriteLock pages() {
        return pages;
    }

    /** {@return who resolves the faults, null if nobody does} */
    public synchronized Service service() {
        return service;
    }

    /** Held while a service starts, so that a region that closes meets none which is half made. */
    public Object startLock() {
        return startLock;
    }

    /** {@return like {@link #service}, and never one that is half made: waits while one starts} */
    public Service startedService() {
        synchronized (startLock) {
            return service();
        }
    }

    /** Starts a service that protects pages. Nobody may discard pages meanwhile: they would lose the protection they just got. */
    public <T> T startProtecting(Start<T> start) throws IOException {
        synchronized (startLock) {
            pages.writeLock().lock();
            try {
                return start.run();
            } finally {
                pages.writeLock().unlock();
            }
        }
    }

    /** Notes who resolves the faults from now on. */
    public synchronized void claim(Service by) {
        refuseIfGone();
        if (service != null) {
            throw new IllegalStateException("the faults of the memory region at 0x" + Long.toHexString(address)
                    + " are resolved by " + service + " already; close that first");
        }
        service = by;
        if (by.bringsPages()) {
            image = 0;
        }
    }

    /**
     * Notes who protects pages from now on: alone, or beside a service that brings them, if that lets somebody.
     *
     * @return the service that it is beside, null if it is alone
     */
    public synchronized Service claimBeside(Service by) {
        if (service == null || service.pager() == 0) {
            claim(by);
            return null;
        }
        if (beside != null) {
            throw new IllegalStateException("the pages of the memory region at 0x" + Long.toHexString(address)
                    + " are protected by " + beside + " already; close that first");
        }
        beside = by;
        return service;
    }

    /** {@return who protects pages beside the service that brings them, null if nobody does} */
    public synchronized Service beside() {
        return beside;
    }

    /** Notes that nobody protects pages beside the service any more. */
    public synchronized void leave() {
        beside = null;
    }

    /** Tells the services that pages are about to be taken away; 0 or -errno. Only a service that brings them brings the same again. */
    public int takesAway(long offset, long length) {
        synchronized (this) {
            image = service != null && service.bringsPages() ? image : 0;
        }
        for (Service each : services()) {
            int failed = each.takesAway(offset, length);
            if (failed < 0) {
                return failed;
            }
        }
        return 0;
    }

    /** Tells the services that pages were taken away. */
    public void tookAway(long offset, long length) {
        for (Service each : services()) {
            each.tookAway(offset, length);
        }
    }

    /** The services, and first the one that protects. */
    private synchronized List<Service> services() {
        return Stream.of(beside, service).filter(Objects::nonNull).toList();
    }

    /**
     * Notes that nobody does any more.
     *
     * @param freesWhatIsLeft run when the faults of the region are resolved by somebody else, or its addresses are given back:
     *     until then a thread may still be on its way from a fault to the handler
     */
    public synchronized void unclaim(Runnable freesWhatIsLeft) {
        service = null;
        leftover = freesWhatIsLeft;
    }

    /** Throws if the region has no memory any more. */
    public synchronized void refuseIfGone() {
        if (uses.isClosed()) {
            throw new IllegalStateException("the memory region at 0x" + Long.toHexString(address) + " is closed");
        }
        if (givenUp) {
            throw new IllegalStateException("the memory region at 0x" + Long.toHexString(address)
                    + " was given up, with the pages that were missing (Close.DETACH): make a new one");
        }
    }

    /** Notes that the region's memory is gone, though its addresses are still taken. */
    public synchronized void giveUp() {
        givenUp = true;
    }

    /** Notes that a claim came to nothing. */
    public synchronized void unclaim() {
        service = null;
    }

    /** Frees what the service before this one left, when late faults come to this one. */
    public synchronized void freeLeftover() {
        leftover.run();
        leftover = () -> { };
    }

    /** One more object needs the addresses. */
    public void hold() {
        holders.incrementAndGet();
    }

    /** One object less; the last gives the addresses back. */
    public void drop() {
        if (holders.decrementAndGet() == 0) {
            // The collector may find the region unreachable while a call of it still works with the addresses.
            boolean open = uses.close();
            uses.awaitIdle(() -> { });
            endService();
            if (service() != null) {
                // It could not let go: whatever came to these addresses next would be served by it.
                return;
            }
            freeLeftover();
            LIVE.remove(address, this);
            Native.unmap(address, length);
            if (alias != 0) {
                Native.unmap(alias, length);
            }
            if (memoryFd >= 0 && open) {
                Native.close(memoryFd);
            }
        }
    }

    private void endService() {
        List<Service> ending;
        synchronized (startLock) {
            ending = services();
        }
        ending.forEach(Service::regionCloses);
    }

    /**
     * Closes the region once: its physical memory is given back, and whoever comes late meets SIGBUS and never somebody
     * else's memory.
     *
     * @param buffers made unusable first, where the JDK can; if that throws, the region stays open
     * @return false if it was closed before
     */
    public boolean close(RegionBuffers buffers) {
        if (!uses.close()) {
            return false;
        }
        try {
            buffers.invalidate();
        } catch (RuntimeException | Error e) {
            uses.reopen();
            throw e;
        }
        endService();
        uses.awaitIdle(() -> { });
        int failed = Native.retire(address, length);
        if (alias != 0 && failed == 0) {
            failed = Native.retire(alias, length);
        }
        if (memoryFd >= 0) {
            Native.close(memoryFd);
        }
        drop();
        if (failed < 0) {
            throw new IllegalStateException("cannot give back the memory region at 0x" + Long.toHexString(address) + ": "
                    + Errno.name(-failed));
        }
        return true;
    }

    /** The net's action: the region became unreachable without a close. Buffers over it may live on, and then so does it. */
    @Override
    public void run() {
        if (!uses.isClosed()) {
            Net.warnLeaked("memory region of " + length + " bytes at 0x" + Long.toHexString(address));
            drop();
        }
    }
}
