// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Net;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.UseCount;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

/**
 * An open userfaultfd: the kernel's interface, one method an ioctl, and nothing added. All methods can be called from any
 * thread. Addresses are those of the process whose memory is registered and lengths are in bytes, both multiples of the page
 * size. A call on a closed descriptor throws {@link ClosedChannelException}.
 *
 * <p><b>Safepoints:</b> do not resolve from Java the faults that Java code of the same JVM raises. A thread that faults in
 * Java code cannot reach a safepoint; if one is requested before the page is there, it stops the handler too, and the JVM
 * hangs until SIGKILL. Use {@code paging.Pager} for that; this class is for the faults of other processes, of native code,
 * and for those who fill pages before Java touches them.
 *
 * <p>Each filling method has two forms. {@link #copy} returns when all was done and throws otherwise. {@link #tryCopy} returns
 * what a handler meets all day without an exception: the bytes done, {@link #EXISTS}, or {@link #AGAIN}.
 *
 * <p><b>Virtual threads:</b> all calls are native, so that a virtual thread keeps its carrier while one lasts. {@link #poll} and
 * {@link #readEvent} may wait for long: use a platform thread for them.
 *
 * @see <a href="https://man7.org/linux/man-pages/man2/ioctl_userfaultfd.2.html">ioctl_userfaultfd(2)</a>
 */
public final class Uffd implements AutoCloseable {
    /** Result of the {@code try} methods: the first page is there already (EEXIST). Skip it and {@link #wake} it. */
    public static final long EXISTS = -Abi.EEXIST;

    /** Result of the {@code try} methods: nothing was done (EAGAIN). Read the pending events, then try again for a while. */
    public static final long AGAIN = -Abi.EAGAIN;

    /** Set by the kernel in the features of a descriptor that had its handshake, fs/userfaultfd.c. */
    private static final long FEATURE_INITIALIZED = 1L << 31;

    private final Descriptor descriptor;
    private final Cleaner.Cleanable net;
    private final long features;
    private volatile long enabled;
    private final long ioctls;
    private final AtomicReference<EventBuffer> spare = new AtomicReference<>();

    /** What the net needs to close the descriptor after this object is gone. */
    private static final class Descriptor implements Runnable {
        final int fd;
        final UseCount uses = new UseCount();

        Descriptor(int fd) {
            this.fd = fd;
        }

        @Override
        public void run() {
            if (uses.close()) {
                Net.warnLeaked("userfaultfd " + fd);
                // The collector may find the object unreachable while a call of it still uses the descriptor.
                uses.awaitIdle(() -> { });
                Native.close(fd);
            }
        }
    }

    Uffd(int fd, long features, long enabled, long ioctls) {
        this.descriptor = new Descriptor(fd);
        this.features = features;
        this.enabled = enabled;
        this.ioctls = ioctls;
        this.net = Net.watch(this, descriptor);
    }

    /**
     * Takes over an open descriptor, such as one that came through a socket. Its features are read from
     * {@code /proc/self/fdinfo}. On an exception the descriptor still belongs to the caller.
     *
     * @param fd a userfaultfd after its handshake
     * @return the object that closes it from now on
     * @throws UffdException if it is not a userfaultfd
     */
    public static Uffd adopt(int fd) throws UffdException {
        String link;
        try {
            link = Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd)).toString();
        } catch (IOException e) {
            throw new UffdException("adopt", Abi.EBADF, "descriptor " + fd);
        }
        // API: the version, the features and the ioctls, all hexadecimal (userfaultfd_show_fdinfo).
        String[] api = ProcFiles.field("/proc/self/fdinfo/" + fd, "API").orElse("").split(":");
        if (!link.equals("anon_inode:[userfaultfd]") || api.length != 3) {
            throw new UffdException("adopt", Abi.EINVAL, "descriptor " + fd, "it is not a userfaultfd but " + link);
        }
        long enabled = Long.parseUnsignedLong(api[1], 16) & ~FEATURE_INITIALIZED;
        return new Uffd(fd, enabled, enabled, 1L << Abi.IOCTL_API | 1L << Abi.IOCTL_REGISTER | 1L << Abi.IOCTL_UNREGISTER);
    }

    /** The descriptor of a forked child has its parent's features. */
    Uffd child(int fd) {
        return new Uffd(fd, features, enabled, ioctls);
    }

    /** {@return the descriptor's number; it stays this object's to close} */
    public int fd() {
        return descriptor.fd;
    }

    /**
     * {@return the features that the kernel has, as the handshake told; of an adopted descriptor, those switched on}
     *
     * @see #enabledFeatures()
     */
    public Set<Feature> features() {
        return Feature.of(features);
    }

    /** {@return {@link #features()} as the kernel's mask, with the bits that have no constant yet} */
    public long rawFeatures() {
        return features;
    }

    /** {@return the features that were required and are switched on for this descriptor} */
    public Set<Feature> enabledFeatures() {
        return Feature.of(enabled);
    }

    /** {@return the ioctls of the descriptor as the handshake told, and those that {@link UffdBuilder#requireIoctls} proved} */
    public Set<Ioctl> ioctls() {
        return Ioctl.of(ioctls);
    }

    /** {@return {@link #ioctls()} as the kernel's mask, with the bits that have no constant yet} */
    public long rawIoctls() {
        return ioctls;
    }

    /**
     * Registers a range for its missing pages, {@code UFFDIO_REGISTER}.
     *
     * @param address the first byte
     * @param length in bytes
     * @return the ioctls that the range now has
     * @throws UffdException EBUSY: another userfaultfd has the range; EINVAL: not mapped or not a kind of memory for this;
     *     EPERM: no right to write; ENOMEM: the process has ended
     * @throws IOException if the descriptor is closed
     */
    public Set<Ioctl> register(long address, long length) throws IOException {
        return register(address, length, RegisterMode.MISSING);
    }

    /**
     * Registers a range, {@code UFFDIO_REGISTER}. Of a range that this descriptor has already, the modes are <b>replaced</b>,
     * unless it has all of these: to add one, name the old ones too. Do not drop {@link RegisterMode#WRITE_PROTECT} while pages
     * are protected: before Linux 7.3, which refuses it (EBUSY), a later write to such a huge page never ends.
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes at least one
     * @return the ioctls that the range now has
     * @throws UffdException EBUSY: another userfaultfd has the range; EINVAL: not mapped, or its kind of memory or the kernel
     *     does not have a mode; EPERM: no right to write; ENOMEM: the process has ended
     * @throws IOException if the descriptor is closed
     */
    public Set<Ioctl> register(long address, long length, RegisterMode... modes) throws IOException {
        return Ioctl.of(registerRaw(address, length, modes));
    }

    /**
     * Like {@link #register(long, long, RegisterMode...)}, with the answer as the kernel's mask.
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes at least one
     * @return the ioctls that the range now has, a bit for each {@link Ioctl#number}, also those that have no constant yet
     * @throws IOException as {@code register}
     */
    public long registerRaw(long address, long length, RegisterMode... modes) throws IOException {
        Ranges.checkPages("register", address, length);
        long mask = 0;
        for (RegisterMode each : modes) {
            mask |= each.bit();
        }
        if (mask == 0) {
            throw new IllegalArgumentException("register: at least one mode is needed");
        }
        long result = call((fd, to, from, bytes, mode) -> Native.register(fd, to, bytes, mode), address, 0, length, mask);
        return checked("register", address, length, result);
    }

    /**
     * Ends the handling of a range, {@code UFFDIO_UNREGISTER}, and wakes who waits in it, with an {@code UFFDIO_WAKE} after it
     * for those who began to wait meanwhile. <b>Pages still missing read as zeros afterwards.</b>
     *
     * @param address the first byte
     * @param length in bytes
     * @throws UffdException EINVAL: not mapped, not a kind of memory for this, or, on newer kernels, registered with another
     *     userfaultfd, whose registration older kernels end without a word; a range that nobody has is no error. ENOMEM: the process
     *     has ended
     * @throws IOException if the descriptor is closed
     */
    public void unregister(long address, long length) throws IOException {
        Ranges.checkPages("unregister", address, length);
        checked("unregister", address, length, call((fd, to, from, bytes, mode) -> Native.unregister(fd, to, bytes), address, 0, length, 0));
    }

    /**
     * Fills missing pages with a copy and wakes who waits for them, {@code UFFDIO_COPY}.
     *
     * @param destination the first byte to fill
     * @param source the first byte to copy from, in this process; any alignment
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#WRITE_PROTECT}
     * @return {@code length}
     * @throws PartialTransferException if only a part was done
     * @throws UffdException EEXIST: the first page is there already; EAGAIN: an event is pending; ENOENT: not registered;
     *     EFAULT: the source cannot be read; ESRCH: the process has ended
     * @throws IOException if the descriptor is closed
     */
    public long copy(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return complete("copy", destination, length, tryCopy(destination, source, length, modes));
    }

    /**
     * Like {@link #copy}, without an exception for what a handler meets all day.
     *
     * @param destination the first byte to fill
     * @param source the first byte to copy from, in this process; any alignment
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#WRITE_PROTECT}
     * @return the bytes done, more than 0 and at most {@code length}, or {@link #EXISTS} or {@link #AGAIN}
     * @throws UffdException every other error, see {@link #copy}
     * @throws IOException if the descriptor is closed
     */
    public long tryCopy(long destination, long source, long length, ResolveMode... modes) throws IOException {
        Ranges.checkPages("copy", destination, length);
        Ranges.checkLength("copy", "source", source, length);
        long mask = ResolveMode.mask("copy", modes, Abi.MODE_DONTWAKE, Abi.COPY_MODE_WP, -1);
        return attempted("copy", destination, length, call(Native::copy, destination, source, length, mask));
    }

    /**
     * Fills missing pages with zeros and wakes who waits for them, {@code UFFDIO_ZEROPAGE}; not for huge pages.
     *
     * @param address the first byte to fill
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @return {@code length}
     * @throws PartialTransferException if only a part was done
     * @throws UffdException as for {@link #copy}; EINVAL: huge pages
     * @throws IOException if the descriptor is closed
     */
    public long zeropage(long address, long length, ResolveMode... modes) throws IOException {
        return complete("zeropage", address, length, tryZeropage(address, length, modes));
    }

    /**
     * Like {@link #zeropage}, without an exception for what a handler meets all day.
     *
     * @param address the first byte to fill
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @return the bytes done, or {@link #EXISTS} or {@link #AGAIN}
     * @throws UffdException every other error
     * @throws IOException if the descriptor is closed
     */
    public long tryZeropage(long address, long length, ResolveMode... modes) throws IOException {
        Ranges.checkPages("zeropage", address, length);
        long mask = ResolveMode.mask("zeropage", modes, Abi.MODE_DONTWAKE, -1, -1);
        return attempted("zeropage", address, length, call((fd, to, from, bytes, mode) -> Native.zeropage(fd, to, bytes, mode), address, 0, length, mask));
    }

    /**
     * Moves pages from another place of this process and wakes who waits for them, {@code UFFDIO_MOVE} (Linux 6.8). Private
     * anonymous memory only; the source's pages are missing afterwards.
     *
     * @param destination the first byte to fill
     * @param source the first byte to take, a multiple of the page size
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#ALLOW_SOURCE_HOLES}
     * @return {@code length}
     * @throws PartialTransferException if only a part was done
     * @throws UffdException as for {@link #copy}; EBUSY: a page is pinned or shared; ENOENT: a source page is missing
     * @throws IOException if the descriptor is closed
     */
    public long move(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return complete("move", destination, length, tryMove(destination, source, length, modes));
    }

    /**
     * Like {@link #move}, without an exception for what a handler meets all day.
     *
     * @param destination the first byte to fill
     * @param source the first byte to take, a multiple of the page size
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#ALLOW_SOURCE_HOLES}
     * @return the bytes done, or {@link #EXISTS} or {@link #AGAIN}
     * @throws UffdException every other error
     * @throws IOException if the descriptor is closed
     */
    public long tryMove(long destination, long source, long length, ResolveMode... modes) throws IOException {
        Ranges.checkPages("move", destination, length);
        Ranges.checkPages("move", "source", source, length, Ranges.PAGE);
        long mask = ResolveMode.mask("move", modes, Abi.MODE_DONTWAKE, -1, Abi.MOVE_MODE_ALLOW_SRC_HOLES);
        return attempted("move", destination, length, call(Native::move, destination, source, length, mask));
    }

    /**
     * Maps pages that the page cache has and wakes who waits for them, {@code UFFDIO_CONTINUE} (Linux 5.13).
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#WRITE_PROTECT}
     * @return {@code length}
     * @throws PartialTransferException if only a part was done
     * @throws UffdException as for {@link #copy}; EFAULT: the page cache does not have the page; EIO: it has a memory error
     * @throws IOException if the descriptor is closed
     */
    public long continueRange(long address, long length, ResolveMode... modes) throws IOException {
        return complete("continue", address, length, tryContinueRange(address, length, modes));
    }

    /**
     * Like {@link #continueRange}, without an exception for what a handler meets all day.
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}, {@link ResolveMode#WRITE_PROTECT}
     * @return the bytes done, or {@link #EXISTS} or {@link #AGAIN}
     * @throws UffdException every other error
     * @throws IOException if the descriptor is closed
     */
    public long tryContinueRange(long address, long length, ResolveMode... modes) throws IOException {
        Ranges.checkPages("continue", address, length);
        long mask = ResolveMode.mask("continue", modes, Abi.MODE_DONTWAKE, Abi.CONTINUE_MODE_WP, -1);
        return attempted("continue", address, length, call((fd, to, from, bytes, mode) -> Native.continueRange(fd, to, bytes, mode), address, 0, length, mask));
    }

    /**
     * Marks missing pages as poisoned: whoever touches one gets SIGBUS, a system call EFAULT, and madvise(2) with
     * MADV_POPULATE_READ EHWPOISON. {@code UFFDIO_POISON} (6.6).
     * In this JVM a poisoned page is safe to read only through {@code MemoryRegion.fetch}.
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @return {@code length}
     * @throws PartialTransferException if only a part was done
     * @throws UffdException as for {@link #copy}
     * @throws IOException if the descriptor is closed
     */
    public long poison(long address, long length, ResolveMode... modes) throws IOException {
        return complete("poison", address, length, tryPoison(address, length, modes));
    }

    /**
     * Like {@link #poison}, without an exception for what a handler meets all day.
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @return the bytes done, or {@link #EXISTS} or {@link #AGAIN}
     * @throws UffdException every other error
     * @throws IOException if the descriptor is closed
     */
    public long tryPoison(long address, long length, ResolveMode... modes) throws IOException {
        Ranges.checkPages("poison", address, length);
        long mask = ResolveMode.mask("poison", modes, Abi.MODE_DONTWAKE, -1, -1);
        return attempted("poison", address, length, call((fd, to, from, bytes, mode) -> Native.poison(fd, to, bytes, mode), address, 0, length, mask));
    }

    /**
     * Protects pages of a range registered for it: the next write to each is a fault. {@code UFFDIO_WRITEPROTECT} (Linux 5.7).
     *
     * @param address the first byte
     * @param length in bytes
     * @throws UffdException ENOENT: not registered with {@link RegisterMode#WRITE_PROTECT}; EAGAIN: an event is pending;
     *     ESRCH: the process has ended
     * @throws IOException if the descriptor is closed
     */
    public void writeProtect(long address, long length) throws IOException {
        protect("writeProtect", address, length, Abi.WRITEPROTECT_MODE_WP);
    }

    /**
     * Lifts the protection and wakes who waits to write, {@code UFFDIO_WRITEPROTECT} without its WP mode (Linux 5.7).
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @throws UffdException as for {@link #writeProtect}
     * @throws IOException if the descriptor is closed
     */
    public void removeWriteProtection(long address, long length, ResolveMode... modes) throws IOException {
        String operation = "removeWriteProtection";
        protect(operation, address, length, ResolveMode.mask(operation, modes, Abi.WRITEPROTECT_MODE_DONTWAKE, -1, -1));
    }

    /**
     * Protects the present pages of a range registered for it: the next access to each, read or write, is a fault, or with
     * {@link Feature#RWP_ASYNC} is noted and let through. Pages that are missing, or come later, are not protected.
     * {@code UFFDIO_RWPROTECT} (Linux 7.3).
     *
     * @param address the first byte
     * @param length in bytes
     * @throws UffdException ENOENT: not registered with {@link RegisterMode#READ_WRITE_PROTECT}; EAGAIN: an event is pending;
     *     ESRCH: the process has ended; EINVAL: the kernel does not have it
     * @throws IOException if the descriptor is closed
     */
    public void readWriteProtect(long address, long length) throws IOException {
        protectAll("readWriteProtect", address, length, Abi.RWPROTECT_MODE_RWP);
    }

    /**
     * Lifts the protection and wakes who waits for access, {@code UFFDIO_RWPROTECT} without its RWP mode (Linux 7.3).
     *
     * @param address the first byte
     * @param length in bytes
     * @param modes {@link ResolveMode#DONT_WAKE}
     * @throws UffdException as for {@link #readWriteProtect}
     * @throws IOException if the descriptor is closed
     */
    public void removeReadWriteProtection(long address, long length, ResolveMode... modes) throws IOException {
        String operation = "removeReadWriteProtection";
        protectAll(operation, address, length, ResolveMode.mask(operation, modes, Abi.RWPROTECT_MODE_DONTWAKE, -1, -1));
    }

    private void protectAll(String operation, long address, long length, long mode) throws IOException {
        Ranges.checkPages(operation, address, length);
        checked(operation, address, length,
                call((fd, to, from, bytes, bits) -> Native.readWriteProtect(fd, to, bytes, bits), address, 0, length, mode));
    }

    /**
     * Switches features of this descriptor while it is in use, {@code UFFDIO_SET_MODE} (Linux 7.3). The kernel takes
     * {@link Feature#RWP_ASYNC} only, on a descriptor that has {@link Feature#RWP}. Does not block.
     *
     * @param enable features to switch on
     * @param disable features to switch off
     * @throws UffdException EINVAL: the kernel does not switch these
     * @throws IOException if the descriptor is closed
     */
    public void setMode(Collection<Feature> enable, Collection<Feature> disable) throws IOException {
        long on = Feature.mask(enable);
        long off = Feature.mask(disable);
        long result = call((fd, to, from, bytes, mode) -> Native.setMode(fd, on, off), 0, 0, 0, 0);
        if (result < 0) {
            throw new UffdException("setMode", (int) -result, "on " + Set.copyOf(enable) + ", off " + Set.copyOf(disable));
        }
        enabled = enabled & ~off | on;
    }

    private void protect(String operation, long address, long length, long mode) throws IOException {
        Ranges.checkPages(operation, address, length);
        checked(operation, address, length,
                call((fd, to, from, bytes, bits) -> Native.writeProtect(fd, to, bytes, bits), address, 0, length, mode));
    }

    /**
     * Wakes who waits for a page of the range; who finds it still missing faults again. {@code UFFDIO_WAKE}.
     *
     * @param address the first byte
     * @param length in bytes
     * @throws UffdException if the kernel refuses
     * @throws IOException if the descriptor is closed
     */
    public void wake(long address, long length) throws IOException {
        Ranges.checkPages("wake", address, length);
        checked("wake", address, length, call((fd, to, from, bytes, mode) -> Native.wake(fd, to, bytes), address, 0, length, 0));
    }

    /**
     * Reads one event, read(2). A blocking descriptor waits for it: until then, or until {@link #close} by another thread.
     *
     * @return the event; empty at once if the descriptor is non-blocking and there is none
     * @throws AsynchronousCloseException if the descriptor was closed meanwhile
     * @throws IOException if the descriptor is closed or the kernel refuses
     */
    public Optional<Event> readEvent() throws IOException {
        EventBuffer buffer = spare.getAndSet(null);
        if (buffer == null) {
            buffer = EventBuffer.allocate(1);
        }
        try {
            return readEvents(buffer) == 0 ? Optional.empty() : Optional.of(buffer.get(0));
        } finally {
            buffer.clear();
            spare.set(buffer);
        }
    }

    /**
     * Reads as many events as there are and as have room, read(2), without allocating. A blocking descriptor waits for the
     * first one: until then, or until {@link #close} by another thread.
     *
     * @param buffer what to read into; its former events are lost
     * @return how many; 0 at once if the descriptor is non-blocking and there is none
     * @throws AsynchronousCloseException if the descriptor was closed meanwhile
     * @throws IOException if the descriptor is closed or the kernel refuses
     */
    public int readEvents(EventBuffer buffer) throws IOException {
        buffer.clear();
        for (boolean first = true;; first = false) {
            int fd = acquire(first);
            int count;
            try {
                count = Native.readEvents(fd, buffer.address(), buffer.capacity());
            } finally {
                descriptor.uses.release();
            }
            if (count >= 0) {
                buffer.filled(count, this);
                return count;
            }
            if (count == -Abi.EAGAIN) {
                return 0;
            }
            if (count != -Abi.EINTR) {
                throw new UffdException("read", -count, "of userfaultfd " + fd);
            }
        }
    }

    /**
     * Waits until there is an event to read, ppoll(2). For non-blocking descriptors only.
     *
     * @param timeout how long at most
     * @return false if there was none in that time
     * @throws AsynchronousCloseException if the descriptor was closed meanwhile
     * @throws UffdException EINVAL: the descriptor is blocking
     * @throws IOException if the descriptor is closed
     */
    public boolean poll(Duration timeout) throws IOException {
        if (timeout.isNegative()) {
            throw new IllegalArgumentException("poll: the timeout is negative: " + timeout);
        }
        long limit = timeout.getSeconds() > Long.MAX_VALUE / 2_000_000_000L ? Long.MAX_VALUE / 2 : timeout.toNanos();
        long start = System.nanoTime();
        for (boolean first = true;; first = false) {
            int fd = acquire(first);
            int result;
            try {
                result = Native.poll(fd, Math.max(0, limit - (System.nanoTime() - start)));
            } finally {
                descriptor.uses.release();
            }
            if (result >= 0) {
                return result > 0;
            }
            if (result == -Abi.EINVAL) {
                throw new UffdException("poll", Abi.EINVAL, "of userfaultfd " + fd,
                        "it is blocking, and the kernel does not poll such a descriptor: create it with nonBlocking(true)");
            }
            if (result != -Abi.EINTR) {
                throw new UffdException("poll", -result, "of userfaultfd " + fd);
            }
        }
    }

    /**
     * Gives the descriptor away: the caller has to close it, and this object is closed. Waits for calls under way.
     *
     * @return the open descriptor
     * @throws ClosedChannelException if it was closed before
     */
    public int detach() throws ClosedChannelException {
        if (!shut()) {
            throw new ClosedChannelException();
        }
        return descriptor.fd;
    }

    /**
     * Closes the descriptor, after ending blocked reads and waiting for calls under way; a second close does nothing. When no
     * other copy of it is open, its ranges are unregistered: <b>pages still missing read as zeros afterwards.</b>
     */
    @Override
    public void close() {
        if (shut()) {
            Native.close(descriptor.fd);
        }
    }

    private boolean shut() {
        if (!descriptor.uses.close()) {
            return false;
        }
        descriptor.uses.awaitIdle(() -> Native.interrupt(descriptor.fd));
        net.clean();
        return true;
    }

    /** One ioctl; the lambdas that implement it capture nothing, so that a call allocates nothing. */
    @FunctionalInterface
    private interface Call {
        long run(int fd, long address, long source, long length, long mode);
    }

    private long call(Call ioctl, long address, long source, long length, long mode) throws ClosedChannelException {
        int fd = acquire(true);
        try {
            return ioctl.run(fd, address, source, length, mode);
        } finally {
            descriptor.uses.release();
        }
    }

    private int acquire(boolean first) throws ClosedChannelException {
        if (!descriptor.uses.acquire()) {
            throw first ? new ClosedChannelException() : new AsynchronousCloseException();
        }
        return descriptor.fd;
    }

    private static long checked(String operation, long address, long length, long result) throws UffdException {
        if (result < 0) {
            throw new UffdException(operation, (int) -result, Ranges.text(address, length));
        }
        return result;
    }

    private static long attempted(String operation, long address, long length, long result) throws UffdException {
        return result == EXISTS || result == AGAIN ? result : checked(operation, address, length, result);
    }

    private static long complete(String operation, long address, long length, long result) throws UffdException {
        checked(operation, address, length, result);
        if (result < length) {
            throw new PartialTransferException(operation, Ranges.text(address, length), result);
        }
        return result;
    }

    @Override
    public String toString() {
        return "Uffd[descriptor " + descriptor.fd + (descriptor.uses.isClosed() ? ", closed" : "") + "]";
    }
}
