// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Net;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Room for the descriptors that come with one {@link UffdSocket#receive}. What is not taken out is closed, by {@link #close} or
 * by the next receive into the same object: descriptors that nobody wanted are never leaked. For one thread at a time.
 */
public final class ReceivedDescriptors implements AutoCloseable {
    private final Held held;
    private final int room;
    private final long address;
    private final Cleaner.Cleanable net;

    private record Held(ByteBuffer ints) implements Runnable {
        int take(int index) {
            int fd = ints.getInt(index * Integer.BYTES);
            ints.putInt(index * Integer.BYTES, -1);
            return fd;
        }

        @Override
        public void run() {
            for (int i = 0; i < ints.capacity() / Integer.BYTES; i++) {
                int fd = take(i);
                if (fd >= 0) {
                    Native.close(fd);
                }
            }
        }
    }

    /**
     * Makes room.
     *
     * @param room how many descriptors a message may carry, from 0 to 253
     */
    public ReceivedDescriptors(int room) {
        if (room < 0 || room > Abi.MOST_DESCRIPTORS) {
            throw new IllegalArgumentException("room for " + room + " descriptors is not between 0 and "
                    + Abi.MOST_DESCRIPTORS);
        }
        this.room = room;
        ByteBuffer ints = ByteBuffer.allocateDirect(Math.max(1, room) * Integer.BYTES).order(ByteOrder.nativeOrder());
        for (int i = 0; i < ints.capacity() / Integer.BYTES; i++) {
            ints.putInt(i * Integer.BYTES, -1);
        }
        held = new Held(ints);
        address = Native.directAddress(ints);
        net = Net.watch(this, held);
    }

    /** {@return how many descriptors are here, taken ones not counted} */
    public int count() {
        int count = 0;
        for (int i = 0; i < room; i++) {
            count += held.ints.getInt(i * Integer.BYTES) >= 0 ? 1 : 0;
        }
        return count;
    }

    /**
     * Takes a descriptor out; the caller has to close it.
     *
     * @param index from 0, in the order they were sent
     * @return the open descriptor, close-on-exec
     * @throws IllegalStateException if no descriptor came at that place, or it was taken before
     */
    public int take(int index) {
        check(index);
        return held.take(index);
    }

    /**
     * Takes a userfaultfd out, {@link Uffd#adopt}.
     *
     * @param index from 0, in the order they were sent
     * @return the object that closes it from now on
     * @throws UffdException if it is not a userfaultfd; it stays here then
     * @throws IllegalStateException if no descriptor came at that place, or it was taken before
     */
    public Uffd takeUffd(int index) throws UffdException {
        check(index);
        Uffd uffd = Uffd.adopt(held.ints.getInt(index * Integer.BYTES));
        held.take(index);
        return uffd;
    }

    private void check(int index) {
        if (index < 0 || index >= room || held.ints.getInt(index * Integer.BYTES) < 0) {
            throw new IllegalStateException("no descriptor " + index + " here, but " + count());
        }
    }

    int room() {
        return room;
    }

    /** The address of the ints, after what was left in them is closed. */
    long emptied() {
        held.run();
        return address;
    }

    /** Closes what was not taken; the object can be used again. */
    @Override
    public void close() {
        held.run();
    }

    @Override
    public String toString() {
        return "ReceivedDescriptors[" + count() + "]";
    }
}
