// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/** A forked child touches, moves, drops and unmaps its pages; the handler follows by the events alone. */
@Scenario(value = "events", features = {Feature.EVENT_FORK, Feature.EVENT_REMAP, Feature.EVENT_REMOVE, Feature.EVENT_UNMAP})
class EventsTest {
    @EachMemory
    void followTheChild(MemoryKind kind) throws Exception {
        run(kind, false);
    }

    /** The handler's view of the child's memory: where it is and what was removed. */
    private static final class Follower {
        private final TestMemory source;
        private final long length;
        private final int page;
        private final boolean writeProtect;
        private final List<Event> events = Collections.synchronizedList(new ArrayList<>());
        private Handler handler;
        private long base;
        private long removedStart;
        private long removedEnd;

        Follower(TestMemory memory, TestMemory source, boolean writeProtect) {
            this.source = source;
            this.writeProtect = writeProtect;
            length = memory.length;
            page = memory.page;
            base = memory.address();
        }

        void handle(CoveredUffd from, Event event) throws IOException {
            if (!(event instanceof Event.PageFault)) {
                events.add(event);
            }
            if (event instanceof Event.PageFault fault) {
                resolve(from, fault);
            } else if (event instanceof Event.Fork fork) {
                handler.serve(new CoveredUffd(fork.uffd()));
            } else if (event instanceof Event.Remap remap) {
                assertEquals(base, remap.from());
                assertEquals(length, remap.length());
                base = remap.to();
            } else if (event instanceof Event.Remove remove) {
                // Removed pages read as zeros from now on. ZEROPAGE does not exist on huge pages, so nobody handles them.
                removedStart = remove.start();
                removedEnd = remove.end();
                from.unregister(remove.start(), remove.end() - remove.start());
            }
        }

        private void resolve(CoveredUffd from, Event.PageFault fault) throws IOException {
            if (fault.kind() == Event.PageFault.Kind.WRITE_PROTECTED) {
                from.removeWriteProtection(fault.address(), page);
                return;
            }
            if (fault.address() >= removedStart && fault.address() < removedEnd) {
                return; // It came between the event and the end of its registration, which woke the thread.
            }
            long offset = fault.address() - base;
            assertTrue(offset >= 0 && offset < length,
                    () -> fault + " is outside of the memory at 0x" + Long.toHexString(base));
            ResolveMode[] modes = writeProtect ? new ResolveMode[] {ResolveMode.WRITE_PROTECT} : new ResolveMode[0];
            assertEquals(page, CoveredUffd.insist(() -> from.tryCopy(fault.address(), source.address() + offset, page, modes)));
        }
    }

    static void run(MemoryKind kind, boolean writeProtect) throws Exception {
        Set<Feature> features = CoveredUffd.all(kind.missing(), Feature.EVENT_FORK, Feature.EVENT_REMAP, Feature.EVENT_REMOVE,
                Feature.EVENT_UNMAP);
        if (writeProtect) {
            features.addAll(kind.writeProtect());
        }
        Needs.features(features);
        TestMemory.needMovable(kind);
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(features)) {
            RegisterMode[] modes = writeProtect
                    ? new RegisterMode[] {RegisterMode.MISSING, RegisterMode.WRITE_PROTECT}
                    : new RegisterMode[] {RegisterMode.MISSING};
            uffd.register(memory, modes);
            long elsewhere = memory.reserve();
            Follower follower = new Follower(memory, source, writeProtect);
            Steps steps = program(memory, source, elsewhere, writeProtect);
            try (Handler handler = new Handler(uffd, follower::handle)) {
                follower.handler = handler;
                try (Steps.Job child = steps.fork()) {
                    assertEquals(Collections.nCopies(steps.size(), 0L), child.await());
                    assertEquals(0, child.childStatus());
                }
                check(follower, handler, memory, elsewhere, writeProtect);
            }
            Faults.ok(Faults.munmap(elsewhere, memory.length));
        }
    }

    /** Each step of the child succeeds with 0. */
    private static Steps program(TestMemory memory, TestMemory source, long elsewhere, boolean writeProtect) {
        Steps steps = new Steps();
        for (int i = 0; i < memory.pages(); i++) {
            steps.compare(memory.at(i), source.address() + (long) i * memory.page, memory.page);
        }
        if (writeProtect) {
            steps.write(memory.at(0), TestMemory.content(0));
        }
        steps.mremap(memory.address(), memory.length, elsewhere);
        for (int i = 0; i < memory.pages(); i++) {
            steps.compare(elsewhere + (long) i * memory.page, source.address() + (long) i * memory.page, memory.page);
        }
        if (writeProtect) {
            // Protection travels with a move that is reported: this write is a fault at the new address.
            steps.write(elsewhere + memory.page, TestMemory.content(1));
        }
        int advice = memory.kind.isShared() ? Faults.MADV_REMOVE : Faults.MADV_DONTNEED;
        long half = memory.length / 2;
        steps.madvise(elsewhere, half, advice);
        for (long at = 0; at < half; at += memory.page) {
            // The private kinds of files see the file's page again, which nobody ever wrote.
            steps.read(elsewhere + at);
        }
        steps.read(elsewhere + half - 1);
        return steps.munmap(elsewhere + half, half);
    }

    private static void check(Follower follower, Handler handler, TestMemory memory, long elsewhere, boolean writeProtect) {
        long half = memory.length / 2;
        assertTrue(follower.events.get(0) instanceof Event.Fork, follower.events::toString);
        // With both features the kernel reports a move twice: the old addresses are unmapped too.
        assertEquals(List.of(new Event.Remap(memory.address(), elsewhere, memory.length),
                new Event.Unmap(memory.address(), memory.address() + memory.length),
                new Event.Remove(elsewhere, elsewhere + half),
                new Event.Unmap(elsewhere + half, elsewhere + memory.length)),
                follower.events.subList(1, follower.events.size()));
        List<Event.PageFault> writes = handler.seen(Event.PageFault.class).stream()
                .filter(each -> each.kind() == Event.PageFault.Kind.WRITE_PROTECTED).toList();
        assertEquals(writeProtect ? List.of(memory.address(), elsewhere + memory.page) : List.of(),
                writes.stream().map(Event.PageFault::address).toList());
    }
}
