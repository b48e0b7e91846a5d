// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Ranges;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/**
 * Reads the events of one process and makes tasks of its faults. All there are are read before one is resolved, and what
 * changes the mappings comes first: read(2) hands out faults before older events.
 */
final class EventReader {
    private static final int BATCH = 128;
    private static final long DESCRIPTOR_PAUSE_NANOS = 5_000_000;

    /** An event that is unread is in the way, or what it says has happened meanwhile: who waits faults again if need be. */
    private static final Set<Integer> LOOK_AGAIN = Set.of(Abi.EAGAIN, Abi.EEXIST, Abi.ENOENT, Abi.EFAULT);

    private final ServedProcess process;
    private final PageFiller filler;
    private final PageTable table;
    private final LoadQueue queue;
    private final TouchTrace trace;
    private final EventBuffer buffer = EventBuffer.allocate(BATCH);
    private long[] faults = new long[BATCH];
    private int count;

    /** Some removed pages are registered still. */
    private boolean crowded;

    /** It was told. */
    private boolean shortOfDescriptors;
    private final List<Event.PageFault> others = new ArrayList<>();

    EventReader(ServedProcess process, PageFiller filler, TouchTrace trace) {
        this.process = process;
        this.filler = filler;
        this.trace = trace;
        table = process.table;
        queue = process.queue;
    }

    /** The thread of the event loop. */
    void drain() throws IOException {
        table.lock().writeLock().lock();
        try {
            readAll();
        } finally {
            table.lock().writeLock().unlock();
        }
        resolve();
    }

    /**
     * The thread of the event loop, when all that is mapped should be in place: what comes later is not this service's any
     * more. Nothing can be put in place, asked for or given back meanwhile.
     *
     * @return false if anything is missing, or was asked for: then it is like {@link #drain}
     */
    boolean drainAndUnregister() throws IOException {
        table.lock().writeLock().lock();
        try {
            if (readAll() && count == 0 && others.isEmpty() && isAllInPlace()) {
                unregisterAll();
                return true;
            }
        } finally {
            table.lock().writeLock().unlock();
        }
        resolve();
        return false;
    }

    private boolean isAllInPlace() {
        synchronized (queue) {
            return queue.isIdle() && !table.isAnyMissing();
        }
    }

    private void unregisterAll() throws IOException {
        for (PageStates each : table.mappings()) {
            if (crowded) {
                unregisterWhole(each.mapping.address(), each.mapping.length());
                continue;
            }
            for (int from = each.removed.nextClearBit(0); from < each.pages();) {
                int to = each.removed.nextSetBit(from);
                to = to < 0 ? each.pages() : to;
                unregisterWhole(each.address(from), (to - from) * each.mapping.pageSize());
                from = each.removed.nextClearBit(to);
            }
        }
    }

    /**
     * A range that is mapped no more, or whose process has ended, needs nothing. EINVAL is also for one that has something else mapped into
     * it, ENOMEM for one that would have to be split when the process has as many mappings as it may: then the descriptor's end
     * unregisters the rest.
     */
    private void unregisterWhole(long address, long length) throws IOException {
        try {
            unregister(address, length);
        } catch (UffdException e) {
            if (e.errno() == Abi.ENOMEM && (process.isGone() || !filler.isAlive())) {
                process.died();
            } else if (e.errno() != Abi.EINVAL && e.errno() != Abi.ENOMEM) {
                throw e;
            }
        }
    }

    /** {@return false if something is unread} */
    private boolean readAll() throws IOException {
        count = 0;
        others.clear();
        int read;
        do {
            try {
                read = process.uffd.readEvents(buffer);
            } catch (UffdException e) {
                if (e.errno() != Abi.EMFILE && e.errno() != Abi.ENFILE) {
                    throw e;
                }
                // For a child's descriptor. The event stays, and until it is read all fills are refused, for as long as they are tried.
                waitForADescriptor(e);
                return false;
            }
            for (int i = 0; i < read; i++) {
                if (buffer.isPageFault(i)) {
                    fault(i);
                } else {
                    apply(buffer.get(i));
                }
            }
        } while (read == BATCH);
        return true;
    }

    private void waitForADescriptor(UffdException refused) {
        if (!shortOfDescriptors) {
            ServedProcess.LOG.log(Level.WARNING, process.name() + " has forked, and its child cannot be served yet: " + refused.getMessage());
        }
        shortOfDescriptors = true;
        LockSupport.parkNanos(DESCRIPTOR_PAUSE_NANOS);
    }

    private void fault(int index) {
        if (buffer.faultKind(index) != Event.PageFault.Kind.MISSING) {
            others.add((Event.PageFault) buffer.get(index));
            return;
        }
        if (count == faults.length) {
            faults = Arrays.copyOf(faults, count * 2);
        }
        faults[count++] = buffer.faultAddress(index);
    }

    private void apply(Event event) throws IOException {
        if (event instanceof Event.Remove remove) {
            removed(table.within(remove.start(), remove.end()), true);
        } else if (event instanceof Event.Unmap unmap) {
            removed(table.unmapped(unmap.start(), unmap.end()), false);
        } else if (event instanceof Event.Remap remap) {
            synchronized (queue) {
                table.moved(remap.from(), remap.to(), remap.length());
            }
        } else if (event instanceof Event.Fork fork) {
            process.forked(fork.uffd());
        } else {
            ServedProcess.LOG.log(Level.WARNING, process.name() + ": " + event + " is left alone");
        }
    }

    /** The pages read as zeros from now on: once unregistered, the kernel gives them without asking, else {@link #makeTasks}. */
    private void removed(List<PageTable.Part> parts, boolean mapped) throws IOException {
        for (PageTable.Part each : parts) {
            synchronized (queue) {
                process.counters.removed.add(each.to() - each.from() - each.states().removed.get(each.from(), each.to())
                        .cardinality());
                each.states().removed.set(each.from(), each.to());
            }
            if (mapped) {
                try {
                    unregister(each.address(), each.length());
                } catch (UffdException e) {
                    // ENOMEM: the process has as many mappings as it may have. Else: given back before, or unmapped meanwhile.
                    boolean tell = e.errno() == Abi.ENOMEM && !crowded;
                    crowded |= tell;
                    ServedProcess.LOG.log(tell ? Level.WARNING : Level.DEBUG, process.name()
                            + ": some pages that were given back stay registered: " + e.getMessage());
                }
            }
        }
    }

    /** Wakes once more: a fault that meets UNREGISTER halfway is not woken by it. */
    private void unregister(long address, long length) throws IOException {
        process.uffd.unregister(address, length);
        process.uffd.wake(address, length);
    }

    private void resolve() throws IOException {
        for (Event.PageFault each : others) {
            letGoOn(each);
        }
        makeTasks();
    }

    /** Of memory that the process has registered itself for something that this service has no part in. */
    private void letGoOn(Event.PageFault fault) throws IOException {
        PageStates states = table.at(fault.address());
        long page = states == null ? Ranges.PAGE : states.mapping.pageSize();
        long address = fault.address() & -page;
        try {
            switch (fault.kind()) {
                case WRITE_PROTECTED -> process.uffd.removeWriteProtection(address, page);
                case READ_WRITE_PROTECTED -> process.uffd.removeReadWriteProtection(address, page);
                default -> process.uffd.continueRange(address, page);
            }
        } catch (UffdException e) {
            if (!LOOK_AGAIN.contains(e.errno())) {
                throw e;
            }
            process.uffd.wake(address, page);
        }
    }

    private void makeTasks() throws IOException {
        process.counters.faults.add(count);
        Arrays.sort(faults, 0, count);
        long servedTo = 0;
        for (int i = 0; i < count; i++) {
            if (faults[i] < servedTo) {
                continue;
            }
            PageStates states = table.at(faults[i]);
            if (states == null) {
                PageStates grown = table.grown(faults[i]);
                if (grown == null) {
                    filler.outside(faults[i]);
                } else {
                    filler.zero(faults[i], grown.mapping.pageSize());
                }
                continue;
            }
            int page = states.pageOf(faults[i]);
            servedTo = states.address(page + 1);
            if (states.removed.get(page)) {
                filler.zero(faults[i], states.mapping.pageSize());
            } else {
                servedTo = makeTask(states, page, i);
            }
        }
    }

    /** {@return the address up to which nothing is left to be done} */
    private long makeTask(PageStates states, int page, int index) throws IOException {
        long pageSize = states.mapping.pageSize();
        int most = (int) Math.max(1, process.options.loader.runBytes() / pageSize);
        int from = page;
        int to = page + 1;
        synchronized (queue) {
            if (states.busy.get(page)) {
                states.again.set(page);
                return states.address(page + 1);
            }
            // Faults of the pages that follow, and those of the window, go with this one as far as the loader takes them.
            for (int i = index + 1; i < count && to - from < most; i++) {
                long next = states.address(to);
                if (faults[i] >= next + pageSize || to >= states.pages()) {
                    break;
                }
                if (faults[i] >= next) {
                    if (!states.isIdle(to)) {
                        break;
                    }
                    to++;
                }
            }
            int window = (int) Math.min(Integer.MAX_VALUE / 2, Math.max(1, process.options.around / pageSize));
            int end = Math.min(states.pages(), page / window * window + window);
            while (to < end && to - from < most && states.isWanted(to)) {
                to++;
            }
            while (from > page / window * window && to - from < most && states.isWanted(from - 1)) {
                from--;
            }
            states.busy.set(from, to);
            // With its window: what of it was touched afterwards, no fault tells. Not again what was thrown away since.
            if (!states.placed.get(page)) {
                trace.add(states.offset(from), (to - from) * pageSize);
            }
            queue.add(new LoadTask(states, from, to - from, null));
        }
        return states.address(to);
    }
}
