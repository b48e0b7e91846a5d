// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.BitSet;

/**
 * What is known of the pages of one mapping. Guarded by the monitor of {@link LoadQueue}; {@code removed} by the lock that keeps fills
 * and the reading of events apart as well: who changes it has both, who reads it one of them.
 */
final class PageStates {
    final RemoteMapping mapping;

    /** Put in place at least once. The process can have thrown them away since without an event: never trusted for a fault. */
    final BitSet placed = new BitSet();

    /** Being loaded. */
    final BitSet busy = new BitSet();

    /** Somebody waited for the page while it was being loaded: perhaps since before it came, perhaps because it went again. */
    final BitSet again = new BitSet();

    /** Given back by the process, or unmapped: never to be filled again. */
    final BitSet removed = new BitSet();

    /** Of those, what the kernel has told is not mapped any more. For the thread of the event loop. */
    final BitSet unmapped = new BitSet();

    /** It came here from another address. */
    final boolean moved;

    PageStates(RemoteMapping mapping) {
        this(mapping, false);
    }

    private PageStates(RemoteMapping mapping, boolean moved) {
        this.mapping = mapping;
        this.moved = moved;
    }

    /** A copy of a part of this one's pages, for memory that moved or was inherited. */
    PageStates part(RemoteMapping to, int firstPage, boolean hasMoved) {
        PageStates part = new PageStates(to, hasMoved);
        int end = firstPage + part.pages();
        part.placed.or(placed.get(firstPage, end));
        part.removed.or(removed.get(firstPage, end));
        part.unmapped.or(unmapped.get(firstPage, end));
        return part;
    }

    int pages() {
        return (int) (mapping.length() / mapping.pageSize());
    }

    int pageOf(long address) {
        return (int) ((address - mapping.address()) / mapping.pageSize());
    }

    long address(int page) {
        return mapping.address() + page * mapping.pageSize();
    }

    long offset(int page) {
        return mapping.offset() + page * mapping.pageSize();
    }

    boolean isIdle(int page) {
        return !busy.get(page) && !removed.get(page);
    }

    /** {@return whether the page may be loaded ahead of a fault} */
    boolean isWanted(int page) {
        return isIdle(page) && !placed.get(page);
    }
}
