// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import static org.junit.jupiter.api.Assertions.fail;

import io.github.userfaultfd.internal.Native;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** Waits for what other threads or processes are about to do: for as long as it takes on a machine that has other work too. */
public final class Soon {
    private static final long LIMIT_NANOS = 60_000_000_000L;
    private static final long PAUSE_NANOS = 2_000_000;

    private Soon() {}

    private static boolean await(BooleanSupplier condition) {
        for (long end = System.nanoTime() + LIMIT_NANOS; !condition.getAsBoolean(); LockSupport.parkNanos(PAUSE_NANOS)) {
            if (System.nanoTime() > end) {
                return false;
            }
        }
        return true;
    }

    public static void assertTrue(BooleanSupplier condition, Supplier<String> message) {
        if (!await(condition)) {
            fail(message.get());
        }
    }

    /**
     * Waits until a thread is in a native method of the library that may wait, not in the one that gives a buffer's address. From
     * there on, what ends the wait does so whether it has begun or not.
     */
    public static void assertInNative(Thread thread) {
        assertTrue(() -> {
            StackTraceElement[] stack = thread.getStackTrace();
            return stack.length > 0 && stack[0].isNativeMethod() && stack[0].getClassName().equals(Native.class.getName())
                    && !stack[0].getMethodName().equals("directAddress");
        }, () -> "not in a native call: " + List.of(thread.getStackTrace()));
    }

    public static void assertEquals(long expected, LongSupplier actual, String what) {
        if (!await(() -> actual.getAsLong() == expected)) {
            fail(what + ": expected " + expected + ", found " + actual.getAsLong());
        }
    }
}
