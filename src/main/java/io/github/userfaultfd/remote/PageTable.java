// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/**
 * The mappings of one process by address. Its lock keeps fills (reading) and the reading of events (writing) apart: the thread
 * that gives pages back sleeps until its event is read, so a fill is either before that, and its page is thrown away, or it
 * knows of the event. Without that, a page that was loaded before it was given back could be put in place afterwards.
 */
final class PageTable {
    private final ConcurrentSkipListMap<Long, PageStates> byAddress = new ConcurrentSkipListMap<>();
    private final ReadWriteLock lock = new ReentrantReadWriteLock();

    PageTable(List<PageStates> mappings) {
        if (mappings.isEmpty()) {
            throw new IllegalArgumentException("there is no mapping to serve");
        }
        List<PageStates> sorted = new ArrayList<>(mappings);
        sorted.sort(Comparator.comparingLong(each -> each.mapping.address()));
        for (int i = 1; i < sorted.size(); i++) {
            if (sorted.get(i).mapping.overlaps(sorted.get(i - 1).mapping)) {
                throw new IllegalArgumentException(sorted.get(i).mapping + " overlaps " + sorted.get(i - 1).mapping);
            }
        }
        sorted.forEach(each -> byAddress.put(each.mapping.address(), each));
    }

    ReadWriteLock lock() {
        return lock;
    }

    Collection<PageStates> mappings() {
        return byAddress.values();
    }

    /** {@return the mapping that an address is in; null if there is none} */
    @Nullable PageStates at(long address) {
        Map.Entry<Long, PageStates> entry = byAddress.floorEntry(address);
        return entry == null || address >= entry.getValue().mapping.end() ? null : entry.getValue();
    }

    /** A part of a mapping, in pages. */
    record Part(PageStates states, int from, int to) {
        long address() {
            return states.address(from);
        }

        long length() {
            return (to - from) * states.mapping.pageSize();
        }
    }

    /** {@return the parts of mappings that lie in a range of addresses; pages of which only a part does are not in it} */
    List<Part> within(long start, long end) {
        List<Part> parts = new ArrayList<>();
        for (PageStates each : byAddress.values()) {
            long from = Math.max(start, each.mapping.address());
            long to = Math.min(end, each.mapping.end());
            long page = each.mapping.pageSize();
            int first = from < to ? (int) ((from - each.mapping.address() + page - 1) / page) : 0;
            int last = from < to ? (int) ((to - each.mapping.address()) / page) : 0;
            if (first < last) {
                parts.add(new Part(each, first, last));
            }
        }
        return parts;
    }

    /** The range has moved, with its pages. The caller holds the lock for writing. */
    void moved(long from, long to, long length) {
        for (Part each : within(from, from + length)) {
            RemoteMapping old = each.states.mapping;
            RemoteMapping moved = new RemoteMapping(to + (each.address() - from), each.length(), each.states.offset(each.from),
                    old.pageSize());
            byAddress.put(moved.address(), each.states.part(moved, each.from));
            each.states.removed.set(each.from, each.to);
        }
    }

    /** {@return the states of a child's mappings, which are those of this process at this moment} */
    List<PageStates> copies() {
        return byAddress.values().stream().map(each -> each.part(each.mapping, 0)).toList();
    }

    /** Adds the pages that have a part of what is served, in the order of their addresses. */
    void addRuns(Collection<Prefetch.Run> runs, long offset, long length) {
        for (PageStates each : byAddress.values()) {
            RemoteMapping mapping = each.mapping;
            long from = Math.max(offset, mapping.offset()) - mapping.offset();
            long to = Math.min(offset + length, mapping.offset() + mapping.length()) - mapping.offset();
            if (from < to) {
                runs.add(new Prefetch.Run(each, (int) (from / mapping.pageSize()),
                        (int) ((to + mapping.pageSize() - 1) / mapping.pageSize())));
            }
        }
    }

    /** {@return offset and length of every mapping} */
    long[] all() {
        return byAddress.values().stream().flatMapToLong(each -> java.util.stream.LongStream.of(each.mapping.offset(),
                each.mapping.length())).toArray();
    }

    /** {@return whether a page was never put in place and not given back either} */
    boolean isAnyMissing() {
        for (PageStates each : byAddress.values()) {
            BitSet known = (BitSet) each.removed.clone();
            known.or(each.placed);
            if (known.cardinality() < each.pages()) {
                return true;
            }
        }
        return false;
    }
}
