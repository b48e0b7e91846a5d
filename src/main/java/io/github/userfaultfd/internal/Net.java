// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.lang.ref.Cleaner;

/** The safety net below everything that has to be closed: what becomes unreachable while open is released, with a warning. */
public final class Net {
    private static final Cleaner CLEANER = Cleaner.create();

    private Net() {}

    /**
     * Runs an action when an object is unreachable, or when the result's {@code clean} is called first.
     *
     * @param owner the object; the action must not refer to it
     */
    public static Cleaner.Cleanable watch(Object owner, Runnable action) {
        return CLEANER.register(owner, action);
    }

    /** Says that something was not closed. */
    public static void warnLeaked(String what) {
        System.getLogger("io.github.userfaultfd").log(System.Logger.Level.WARNING,
                what + " was not closed; it is released now because nothing refers to it any more");
    }
}
