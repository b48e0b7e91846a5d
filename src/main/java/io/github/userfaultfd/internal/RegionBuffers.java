// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Makes the byte buffers over one region. On JDK 22 and newer they come from a {@code MemorySegment} of a shared
 * {@code Arena}, so that a late access is an IllegalStateException; the API is reached by method handles, because the library
 * is built by a JDK that does not have it. On older JDKs they come from JNI, and a late access meets SIGBUS.
 */
public abstract class RegionBuffers {
    /** The longest buffer that a segment can be wrapped as; longer ones, up to 2 GiB - 1, come from JNI on every JDK. */
    public static final int LONGEST_OF_SEGMENT = Integer.MAX_VALUE - 8;

    private static final int FOREIGN_MEMORY_API = 22;
    /** Native images of GraalVM close shared arenas only if they were built with an option for that. */
    private static final boolean HAS_SHARED_ARENAS = Runtime.version().feature() >= FOREIGN_MEMORY_API
            && System.getProperty("org.graalvm.nativeimage.imagecode") == null;

    private RegionBuffers() {}

    /** {@return the best kind for the running JDK} */
    public static RegionBuffers create() {
        return HAS_SHARED_ARENAS ? new OfSegments() : new OfJni();
    }

    /** {@return a new buffer} */
    public abstract ByteBuffer create(long address, int length);

    /** {@return what is reachable as long as the buffer is, or a slice of it, or a MemorySegment of either} */
    public abstract Object keptBy(ByteBuffer buffer);

    /**
     * Makes every buffer unusable, if the JDK can do that.
     *
     * @throws IllegalStateException if a call under way uses one; nothing has changed then
     */
    abstract void invalidate();

    private static final class OfJni extends RegionBuffers {
        @Override
        public ByteBuffer create(long address, int length) {
            return Native.directBuffer(address, length);
        }

        @Override
        public Object keptBy(ByteBuffer buffer) {
            return buffer;
        }

        @Override
        void invalidate() {
            // RegionOwner replaces the mapping.
        }
    }

    private static final class OfSegments extends RegionBuffers {
        private static final MethodHandle OF_SHARED;
        private static final MethodHandle SCOPE;
        private static final MethodHandle CLOSE;
        private static final MethodHandle OF_ADDRESS;
        private static final MethodHandle REINTERPRET;
        private static final MethodHandle AS_BYTE_BUFFER;

        static {
            try {
                Class<?> arena = Class.forName("java.lang.foreign.Arena");
                Class<?> segment = Class.forName("java.lang.foreign.MemorySegment");
                MethodHandles.Lookup lookup = MethodHandles.lookup();
                OF_SHARED = erased(lookup.findStatic(arena, "ofShared", MethodType.methodType(arena)));
                SCOPE = erased(lookup.findVirtual(arena, "scope",
                        MethodType.methodType(Class.forName("java.lang.foreign.MemorySegment$Scope"))));
                CLOSE = erased(lookup.findVirtual(arena, "close", MethodType.methodType(void.class)));
                OF_ADDRESS = erased(lookup.findStatic(segment, "ofAddress", MethodType.methodType(segment, long.class)));
                REINTERPRET = erased(lookup.findVirtual(segment, "reinterpret",
                        MethodType.methodType(segment, long.class, arena, Consumer.class)));
                AS_BYTE_BUFFER = lookup.findVirtual(segment, "asByteBuffer", MethodType.methodType(ByteBuffer.class))
                        .asType(MethodType.methodType(ByteBuffer.class, Object.class));
            } catch (ReflectiveOperationException e) {
                throw new LinkageError("JDK " + Runtime.version() + " without java.lang.foreign", e);
            }
        }

        private final Object arena = invoke(() -> (Object) OF_SHARED.invokeExact());

        private static MethodHandle erased(MethodHandle handle) {
            return handle.asType(handle.type().generic().changeReturnType(
                    handle.type().returnType() == void.class ? void.class : Object.class));
        }

        @Override
        public ByteBuffer create(long address, int length) {
            if (length > LONGEST_OF_SEGMENT) {
                return Native.directBuffer(address, length);
            }
            return invoke(() -> {
                Object at = (Object) OF_ADDRESS.invokeExact((Object) address);
                Object segment = (Object) REINTERPRET.invokeExact(at, (Object) (long) length, arena, (Object) null);
                return (ByteBuffer) AS_BYTE_BUFFER.invokeExact(segment);
            });
        }

        /** A segment of a buffer lets go of the buffer, but not of the scope of the arena. */
        @Override
        public Object keptBy(ByteBuffer buffer) {
            return buffer.capacity() > LONGEST_OF_SEGMENT ? buffer : invoke(() -> (Object) SCOPE.invokeExact(arena));
        }

        @Override
        void invalidate() {
            invoke(() -> {
                CLOSE.invokeExact(arena);
                return null;
            });
        }

        private interface Body<T> {
            T run() throws Throwable;
        }

        private static <T> T invoke(Body<T> body) {
            try {
                return body.run();
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
