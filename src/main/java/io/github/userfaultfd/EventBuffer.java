// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Net;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Room for the events of one {@link Uffd#readEvents} call, used again and again. For handlers that must not allocate there
 * are accessors of single fields; {@link #get} makes an {@link Event}.
 *
 * <p>For one thread at a time. A fork event carries a descriptor: one that was not taken with {@link #get} is closed by the
 * next read into this buffer and by {@link #close}.
 */
public final class EventBuffer implements AutoCloseable, Iterable<Event> {
    private final Messages messages;
    private final long address;
    private final int capacity;
    private Event.Fork @Nullable [] forks;
    private @Nullable Uffd source;

    /** What the net needs to close descriptors after this object is gone. */
    private static final class Messages implements Runnable {
        final ByteBuffer bytes;
        int count;

        Messages(int capacity) {
            bytes = ByteBuffer.allocateDirect(capacity * Abi.MSG_SIZE).order(ByteOrder.nativeOrder());
        }

        int event(int index) {
            return bytes.get(index * Abi.MSG_SIZE + Abi.MSG_EVENT) & 0xff;
        }

        /** Gives the descriptor away: from now on it is not the buffer's to close. */
        int takeFork(int index) {
            int at = index * Abi.MSG_SIZE + Abi.MSG_FORK_FD;
            int fd = bytes.getInt(at);
            bytes.putInt(at, -1);
            return fd;
        }

        @Override
        public void run() {
            for (int i = 0; i < count; i++) {
                if (event(i) == Abi.EVENT_FORK) {
                    int fd = takeFork(i);
                    if (fd >= 0) {
                        Native.close(fd);
                    }
                }
            }
            count = 0;
        }
    }

    private EventBuffer(int capacity) {
        this.capacity = capacity;
        messages = new Messages(capacity);
        address = Native.directAddress(messages.bytes);
        Net.watch(this, messages);
    }

    /**
     * Makes a buffer.
     *
     * @param capacity how many events one read can return at most
     * @return an empty buffer
     */
    public static EventBuffer allocate(int capacity) {
        if (capacity <= 0 || capacity > Integer.MAX_VALUE / Abi.MSG_SIZE) {
            throw new IllegalArgumentException("capacity " + capacity + " is not between 1 and "
                    + Integer.MAX_VALUE / Abi.MSG_SIZE + " events");
        }
        return new EventBuffer(capacity);
    }

    /** {@return how many events one read can return at most} */
    public int capacity() {
        return capacity;
    }

    /** {@return how many events the last read returned} */
    public int size() {
        return messages.count;
    }

    /**
     * {@return the kernel's number of an event, {@code UFFD_EVENT_*}}
     *
     * @param index from 0, less than {@link #size()}
     */
    public int eventNumber(int index) {
        return messages.event(Objects.checkIndex(index, messages.count));
    }

    /**
     * {@return whether an event is a page fault}
     *
     * @param index from 0, less than {@link #size()}
     */
    public boolean isPageFault(int index) {
        return eventNumber(index) == Abi.EVENT_PAGEFAULT;
    }

    /**
     * {@return the address of a page fault}
     *
     * @param index of a page fault
     */
    public long faultAddress(int index) {
        return messages.bytes.getLong(fault(index) + Abi.MSG_FAULT_ADDRESS);
    }

    /**
     * {@return what a page fault waits for}
     *
     * @param index of a page fault
     */
    public Event.PageFault.Kind faultKind(int index) {
        long flags = messages.bytes.getLong(fault(index) + Abi.MSG_FAULT_FLAGS);
        if ((flags & Abi.FAULT_FLAG_WP) != 0) {
            return Event.PageFault.Kind.WRITE_PROTECTED;
        }
        if ((flags & Abi.FAULT_FLAG_RWP) != 0) {
            return Event.PageFault.Kind.READ_WRITE_PROTECTED;
        }
        return (flags & Abi.FAULT_FLAG_MINOR) != 0 ? Event.PageFault.Kind.MINOR : Event.PageFault.Kind.MISSING;
    }

    /**
     * {@return whether a page fault writes}
     *
     * @param index of a page fault
     */
    public boolean faultIsWrite(int index) {
        return (messages.bytes.getLong(fault(index) + Abi.MSG_FAULT_FLAGS) & Abi.FAULT_FLAG_WRITE) != 0;
    }

    /**
     * {@return the thread of a page fault, 0 without {@link Feature#THREAD_ID}}
     *
     * @param index of a page fault
     */
    public int faultThreadId(int index) {
        return messages.bytes.getInt(fault(index) + Abi.MSG_FAULT_THREAD_ID);
    }

    private int fault(int index) {
        if (!isPageFault(index)) {
            throw new IllegalStateException("event " + index + " is no page fault but number " + eventNumber(index));
        }
        return index * Abi.MSG_SIZE;
    }

    /**
     * {@return an event; the same object each time for a fork event, whose descriptor is the caller's from then on}
     *
     * @param index from 0, less than {@link #size()}
     */
    public Event get(int index) {
        int at = index * Abi.MSG_SIZE;
        ByteBuffer bytes = messages.bytes;
        int number = eventNumber(index);
        return switch (number) {
            case Abi.EVENT_PAGEFAULT ->
                new Event.PageFault(faultAddress(index), faultKind(index), faultIsWrite(index), faultThreadId(index));
            case Abi.EVENT_FORK -> fork(index);
            case Abi.EVENT_REMAP -> new Event.Remap(bytes.getLong(at + Abi.MSG_REMAP_FROM),
                    bytes.getLong(at + Abi.MSG_REMAP_TO), bytes.getLong(at + Abi.MSG_REMAP_LENGTH));
            case Abi.EVENT_REMOVE -> new Event.Remove(bytes.getLong(at + Abi.MSG_START), bytes.getLong(at + Abi.MSG_END));
            case Abi.EVENT_UNMAP -> new Event.Unmap(bytes.getLong(at + Abi.MSG_START), bytes.getLong(at + Abi.MSG_END));
            default -> new Event.Unknown(number);
        };
    }

    private Event.Fork fork(int index) {
        if (forks == null) {
            forks = new Event.Fork[capacity];
        }
        if (forks[index] == null) {
            forks[index] = new Event.Fork(Objects.requireNonNull(source).child(messages.takeFork(index)));
        }
        return forks[index];
    }

    @Override
    public Iterator<Event> iterator() {
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < size();
            }

            @Override
            public Event next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                return get(next++);
            }
        };
    }

    /** Empties the buffer and closes the descriptors of fork events that nobody took. It can be used again. */
    public void clear() {
        messages.run();
        forks = null;
    }

    /** Like {@link #clear}; the memory goes when the buffer is unreachable. */
    @Override
    public void close() {
        clear();
    }

    /** The address to read to. The buffer was cleared before. */
    long address() {
        return address;
    }

    void filled(int count, Uffd from) {
        messages.count = count;
        source = from;
    }

    @Override
    public String toString() {
        return "EventBuffer[" + size() + " of " + capacity + " events]";
    }
}
