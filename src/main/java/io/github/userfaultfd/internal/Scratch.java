// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A few longs of native memory that a native call fills in. Keep the object reachable until they are read. */
public final class Scratch {
    private final ByteBuffer buffer;
    private final long address;

    /** Allocates zeros. */
    public Scratch(int longs) {
        buffer = ByteBuffer.allocateDirect(longs * Long.BYTES).order(ByteOrder.nativeOrder());
        address = Native.directAddress(buffer);
    }

    /** {@return the address of the first} */
    public long address() {
        return address;
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
