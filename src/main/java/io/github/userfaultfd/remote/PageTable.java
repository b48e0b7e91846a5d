// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
    private final ConcurrentSkipListMap<Long, Part> byAddress = new ConcurrentSkipListMap<>();
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private final LateUnmaps late;

    /** The second argument says whether the kernel tells of unmapped memory. */
    PageTable(List<PageStates> mappings, boolean unmapsAreTold) {
        late = new LateUnmaps(unmapsAreTold);
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
        sorted.forEach(each -> put(new Part(each, 0, each.pages())));
    }

    ReadWriteLock lock() {
        return lock;
    }

    private void put(Part part) {
        byAddress.put(part.address(), part);
    }

    /** {@return the mappings of which a part is still where it was} Pages of the other parts are removed ones. */
    Set<PageStates> mappings() {
        Set<PageStates> mappings = new LinkedHashSet<>();
        byAddress.values().forEach(each -> mappings.add(each.states));
        return mappings;
    }

    /** {@return the mapping that an address is in; null if there is none} */
    @Nullable PageStates at(long address) {
        Map.Entry<Long, Part> entry = byAddress.floorEntry(address);
        return entry == null || address >= entry.getValue().end() ? null : entry.getValue().states;
    }

    /**
     * {@return the mapping that has come to lie before an address in none} It can have grown when it was moved, which the event
     * does not tell; null if there is no such mapping.
     */
    @Nullable PageStates grown(long address) {
        Map.Entry<Long, Part> entry = byAddress.floorEntry(address);
        return entry == null || !entry.getValue().states.moved ? null : entry.getValue().states;
    }

    /** A part of a mapping, in pages. */
    record Part(PageStates states, int from, int to) {
        long address() {
            return states.address(from);
        }

        long length() {
            return (to - from) * states.mapping.pageSize();
        }

        long end() {
            return address() + length();
        }

        /** {@return a copy of it, at an address} */
        PageStates copy(long address, boolean moved) {
            return states.part(new RemoteMapping(address, length(), states.offset(from), states.mapping.pageSize()), from, moved);
        }
    }

    /** {@return the parts of mappings that lie in a range of addresses; pages of which only a part does are not in it} */
    List<Part> within(long start, long end) {
        List<Part> parts = new ArrayList<>();
        for (Part each : byAddress.values()) {
            PageStates states = each.states;
            long from = Math.max(start, each.address());
            long to = Math.min(end, each.end());
            long page = states.mapping.pageSize();
            int first = from < to ? (int) ((from - states.mapping.address() + page - 1) / page) : 0;
            int last = from < to ? (int) ((to - states.mapping.address()) / page) : 0;
            if (first < last) {
                parts.add(new Part(states, first, last));
            }
        }
        return parts;
    }

    /** The range has moved, with its pages, over whatever was there. The caller holds the lock for writing, and the monitor. */
    void moved(long from, long to, long length) {
        List<PageStates> arrived = new ArrayList<>();
        for (Part each : within(from, from + length)) {
            arrived.add(each.copy(to + (each.address() - from), true));
        }
        within(to, to + length).forEach(this::expectUnlessTold);
        cut(to, to + length);
        arrived.forEach(each -> put(new Part(each, 0, each.pages())));
        cut(from, from + length);
        late.expect(from, from + length);
    }

    /** What was here has gone without a word so far: it was not the move that took it away. */
    private void expectUnlessTold(Part part) {
        BitSet told = part.states.unmapped;
        for (int from = told.nextClearBit(part.from); from < part.to;) {
            int next = told.nextSetBit(from);
            int to = next < 0 ? part.to : Math.min(next, part.to);
            late.expect(part.states.address(from), part.states.address(to));
            from = told.nextClearBit(to);
        }
    }

    /**
     * Notes that the kernel tells of memory that was unmapped. The caller holds the lock for writing.
     *
     * @return the parts that this is new of; what came to the other addresses since is still there
     */
    List<Part> unmapped(long start, long end) {
        List<Part> parts = late.news(start, end).stream().flatMap(each -> within(each[0], each[1]).stream()).toList();
        parts.forEach(each -> each.states.unmapped.set(each.from, each.to));
        return parts;
    }

    /** What lies before and behind the range stays. */
    private void cut(long start, long end) {
        for (Part gone : within(start, end)) {
            PageStates states = gone.states;
            Part whole = byAddress.floorEntry(gone.address()).getValue();
            if (gone.to < whole.to) {
                put(new Part(states, gone.to, whole.to));
            }
            if (whole.from < gone.from) {
                put(new Part(states, whole.from, gone.from));
            } else {
                byAddress.remove(whole.address());
            }
            states.removed.set(gone.from, gone.to);
        }
    }

    /** {@return the states of a child's mappings, which are those of this process at this moment} */
    List<PageStates> copies() {
        return byAddress.values().stream().map(each -> each.copy(each.address(), each.states.moved)).toList();
    }

    /** Adds the pages that have a part of what is served, in the order of their addresses. */
    void addRuns(Collection<Prefetch.Run> runs, long offset, long length) {
        for (PageStates each : mappings()) {
            RemoteMapping mapping = each.mapping;
            long from = Math.max(offset, mapping.offset()) - mapping.offset();
            long end = offset > Long.MAX_VALUE - length ? Long.MAX_VALUE : offset + length;
            long to = Math.min(end, mapping.offset() + mapping.length()) - mapping.offset();
            if (from < to) {
                runs.add(new Prefetch.Run(each, (int) (from / mapping.pageSize()),
                        (int) ((to + mapping.pageSize() - 1) / mapping.pageSize())));
            }
        }
    }

    /** {@return offset and length of every mapping} */
    long[] all() {
        return mappings().stream().flatMapToLong(each -> java.util.stream.LongStream.of(each.mapping.offset(),
                each.mapping.length())).toArray();
    }

    /** {@return whether a page was never put in place and not given back either} The caller has the lock and the monitor. */
    boolean isAnyMissing() {
        for (PageStates each : mappings()) {
            BitSet known = new BitSet();
            known.or(each.removed);
            known.or(each.placed);
            if (known.cardinality() < each.pages()) {
                return true;
            }
        }
        return false;
    }
}
