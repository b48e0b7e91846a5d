// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

/** Who resolves a fault. */
public enum Engine {
    /** The faulting thread in the library's SIGBUS handler. */
    INLINE,
    /** A native thread of the library. */
    THREAD,
    /** A Java thread that reads blocking, an {@code Event} each; pages are touched from native code. */
    BLOCK,
    /** A Java thread that polls and reads into an {@code EventBuffer}; pages are touched from native code. */
    POLL;

    boolean isJava() {
        return this == BLOCK || this == POLL;
    }

    /** The C program's name for the same work; its loop that polls is what engine THREAD does. */
    String inC() {
        return this == INLINE ? "inline" : this == BLOCK ? "block" : "poll";
    }
}
