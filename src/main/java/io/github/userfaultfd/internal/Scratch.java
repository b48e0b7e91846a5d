// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.LongUnaryOperator;

/** A few longs of native memory, for what goes into a native call and what comes out of it. */
public final class Scratch {
    private final ByteBuffer buffer;
    private final long address;

    /** Allocates zeros. */
    public Scratch(int longs) {
        buffer = ByteBuffer.allocateDirect(longs * Long.BYTES).order(ByteOrder.nativeOrder());
        address = Native.directAddress(buffer);
    }

    /**
     * Makes a native call with the address of the first long. Only inside of it the memory is certain to be there: the collector
     * takes an object away as soon as nothing is going to use it, also while native code works with its address.
     *
     * @return what the call returns
     */
    public long pass(LongUnaryOperator call) {
        try {
            return call.applyAsLong(address);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Like {@link #pass}, with the address of a direct buffer's first byte. */
    public static int passBuffer(ByteBuffer direct, LongUnaryOperator call) {
        try {
            return (int) call.applyAsLong(Native.directAddress(direct));
        } finally {
            Reference.reachabilityFence(direct);
        }
    }

    /** Sets one of them. */
    public Scratch set(int index, long value) {
        buffer.putLong(index * Long.BYTES, value);
        return this;
    }

    /** {@return one of them} */
    public long get(int index) {
        return buffer.getLong(index * Long.BYTES);
    }

    /** {@return a copy of all of them} */
    public long[] longs() {
        long[] copy = new long[buffer.capacity() / Long.BYTES];
        buffer.duplicate().order(ByteOrder.nativeOrder()).asLongBuffer().get(copy);
        return copy;
    }
}
