// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What bites users of userfaultfd: events, waiting and waking. Where the library protects from it, that it does. */
@Scenario("behaviour: events")
class BehaviourTest {
    private static final Duration LONG_ENOUGH = Duration.ofSeconds(5);

    /** s390x tells the kernel the page of a fault and no more. */
    private static final boolean PROCESSOR_TELLS_ADDRESS = !System.getProperty("os.arch").equals("s390x");

    /** 1. A fault is handed out before a REMOVE that is older. */
    @Test
    void faultsComeBeforeOlderRemoves() throws Exception {
        Needs.features(Feature.EVENT_REMOVE);
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                CoveredUffd uffd = CoveredUffd.open(Feature.EVENT_REMOVE);
                EventBuffer buffer = EventBuffer.allocate(8)) {
            uffd.register(memory, RegisterMode.MISSING);
            uffd.zeropage(memory.at(0), memory.page);
            try (Steps.Job remover = new Steps().madvise(memory.at(0), memory.page, Faults.MADV_DONTNEED).start()) {
                assertTrue(uffd.poll(LONG_ENOUGH));
                try (Steps.Job reader = new Steps().read(memory.at(5)).start()) {
                    reader.assertAsleep();
                    assertEquals(2, uffd.readEvents(buffer));
                    assertEquals(memory.at(5), ((Event.PageFault) buffer.get(0)).address());
                    assertEquals(new Event.Remove(memory.at(0), memory.at(1)), buffer.get(1));
                    remover.awaitZeros();
                    CoveredUffd.insist(() -> uffd.tryZeropage(memory.at(5), memory.page));
                    reader.awaitZeros();
                }
            }
        }
    }

    /** 2. Who causes an event sleeps until it is read. */
    @Test
    void whoCausesAnEventWaits() throws Exception {
        Needs.features(Feature.EVENT_FORK, Feature.EVENT_REMAP, Feature.EVENT_REMOVE, Feature.EVENT_UNMAP);
        List<Class<? extends Event>> seen = new ArrayList<>();
        for (Feature feature : List.of(Feature.EVENT_REMOVE, Feature.EVENT_FORK, Feature.EVENT_REMAP, Feature.EVENT_UNMAP)) {
            try (TestMemory memory = TestMemory.raw(MemoryKind.ANONYMOUS); CoveredUffd uffd = CoveredUffd.open(feature)) {
                uffd.register(memory, RegisterMode.MISSING);
                long elsewhere = memory.reserve();
                Steps steps = switch (feature) {
                    case EVENT_REMOVE -> new Steps().madvise(memory.address(), memory.length, Faults.MADV_DONTNEED);
                    case EVENT_REMAP -> new Steps().mremap(memory.address(), memory.length, elsewhere);
                    case EVENT_UNMAP -> new Steps().munmap(memory.address(), memory.length);
                    default -> new Steps().gate(0);
                };
                try (Steps.Job job = feature == Feature.EVENT_FORK ? steps.fork() : steps.start()) {
                    assertTrue(uffd.poll(LONG_ENOUGH), feature::toString);
                    job.assertAsleep();
                    Event event = uffd.awaitEvent();
                    seen.add(event.getClass());
                    job.awaitZeros();
                    if (event instanceof Event.Fork fork) {
                        fork.uffd().close();
                    }
                }
                if (feature == Feature.EVENT_REMAP) {
                    memory.movedTo(elsewhere);
                } else {
                    Faults.ok(Faults.munmap(elsewhere, memory.length));
                }
                if (feature == Feature.EVENT_UNMAP) {
                    memory.forget();
                }
            }
        }
        assertEquals(List.of(Event.Remove.class, Event.Fork.class, Event.Remap.class, Event.Unmap.class), seen);
    }

    /** 3. poll(2) on a blocking descriptor answers POLLERR: the library says what to do instead. */
    @Test
    void blockingDescriptorsAreNotPolled() throws Exception {
        try (CoveredUffd uffd = CoveredUffd.openBlocking()) {
            UffdException refused = Refused.with(Abi.EINVAL, () -> uffd.poll(Duration.ofMillis(1)));
            assertTrue(refused.getMessage().contains("nonBlocking(true)"), refused::getMessage);
        }
    }

    /** 4. One read returns many messages. */
    @Test
    void oneReadReturnsManyEvents() throws Exception {
        boolean exact = Needs.system().features().contains(Feature.EXACT_ADDRESS);
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                CoveredUffd uffd = CoveredUffd.open(exact ? Set.of(Feature.THREAD_ID, Feature.EXACT_ADDRESS)
                        : Set.of(Feature.THREAD_ID));
                EventBuffer buffer = EventBuffer.allocate(2)) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job first = new Steps().read(memory.at(1) + 17).start();
                    Steps.Job second = new Steps().write(memory.at(2) + 4095, 1).start();
                    Steps.Job third = new Steps().read(memory.at(3)).start()) {
                for (Steps.Job each : List.of(first, second, third)) {
                    each.assertAsleep();
                }
                assertEquals(2, uffd.readEvents(buffer), "as many as have room");
                List<Event> events = new ArrayList<>(List.of(buffer.get(0), buffer.get(1)));
                assertEquals(1, uffd.readEvents(buffer));
                events.add(buffer.get(0));
                Event.PageFault.Kind missing = Event.PageFault.Kind.MISSING;
                boolean told = exact && PROCESSOR_TELLS_ADDRESS;
                assertEquals(Set.of(
                        new Event.PageFault(memory.at(1) + (told ? 17 : 0), missing, false, first.threadId()),
                        new Event.PageFault(memory.at(2) + (told ? 4095 : 0), missing, true, second.threadId()),
                        new Event.PageFault(memory.at(3), missing, false, third.threadId())), Set.copyOf(events));
                uffd.zeropage(memory.address(), memory.length);
                for (Steps.Job each : List.of(first, second, third)) {
                    each.awaitZeros();
                }
            }
        }
    }

    /** 4. A signal to the waiting thread makes it report the same fault again. */
    @Test
    void aSignalRepeatsTheFault() throws Exception {
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS); CoveredUffd uffd = CoveredUffd.open()) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                Event first = uffd.awaitEvent();
                reader.nudge();
                assertEquals(first, uffd.awaitEvent());
                reader.assertAsleep();
                uffd.zeropage(memory.at(0), memory.page);
                reader.awaitZeros();
            }
        }
    }

    /** 5. Closing the last descriptor wakes sleepers, who see zeros. Unregistering too. */
    @EachMemory
    void closeAndUnregisterGiveZeros(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(kind.missing())) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job first = new Steps().read(memory.at(0)).start();
                    Steps.Job second = new Steps().read(memory.at(1)).start()) {
                first.assertAsleep();
                second.assertAsleep();
                uffd.unregister(memory.at(0), memory.page);
                first.awaitZeros();
                second.assertAsleep();
                Faults.ok(Native.close(uffd.uffd().detach()));
                second.awaitZeros();
            }
        }
    }

    /**
     * UNREGISTER wakes before it clears the range: a thread that faults in between sleeps on (seen on 6.18). The library wakes
     * again afterwards.
     */
    @Test
    void unregisterLeavesNobodyAsleep() throws Exception {
        for (int round = 0; round < ChildJvm.rounds(10); round++) {
            try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS, 512); CoveredUffd uffd = CoveredUffd.open()) {
                uffd.register(memory, RegisterMode.MISSING);
                Steps all = new Steps();
                for (int i = 0; i < memory.pages(); i++) {
                    all.read(memory.at(i));
                }
                try (Steps.Job reader = all.start()) {
                    for (int i = 0; i < memory.pages(); i++) {
                        reader.spinUntilStep(i);
                        uffd.unregister(memory.at(i), memory.page);
                    }
                    assertEquals(Collections.nCopies(memory.pages(), 0L), reader.await());
                }
            }
        }
    }

    /** 14. A mapping that is put over the page does not wake who waits for it: UFFDIO_WAKE does. */
    @Test
    void mappingOverDoesNotWake() throws Exception {
        try (TestMemory memory = TestMemory.raw(MemoryKind.ANONYMOUS); CoveredUffd uffd = CoveredUffd.open()) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                reader.assertAsleep();
                new Steps().mapOver(memory.address(), memory.length).run();
                reader.assertAsleep();
                uffd.wake(memory.at(0), memory.page);
                reader.awaitZeros();
            }
        }
    }

    /** 14. Neither does munmap(2): who is woken afterwards finds no memory at all. */
    @Test
    void unmappingDoesNotWake() throws Exception {
        try (TestMemory memory = TestMemory.raw(MemoryKind.ANONYMOUS); CoveredUffd uffd = CoveredUffd.open()) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                reader.assertAsleep();
                new Steps().munmap(memory.address(), memory.length).run();
                reader.assertAsleep();
                // Nobody else may get these addresses while the thread still goes for them.
                long again = Faults.mmap(memory.address(), memory.length, Faults.PROT_NONE,
                        Faults.MAP_PRIVATE | Faults.MAP_ANONYMOUS | Faults.MAP_FIXED, -1);
                assertEquals(memory.address(), again);
                uffd.wake(memory.at(0), memory.page);
                assertEquals(List.of(Steps.SEGV), reader.await());
            }
        }
    }

    /** 14. Registering with fewer modes than the range has leaves it as it is (7.3: EBUSY). */
    @EachMemory
    void fewerModesChangeNothing(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = openFor(kind)) {
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.WRITE_PROTECT);
            writeAndProtect(memory, uffd);
            registerForMissing(memory, uffd);
            try (Steps.Job writer = new Steps().write(memory.at(0), 2).start()) {
                assertEquals(Event.PageFault.Kind.WRITE_PROTECTED, uffd.awaitEvent(Event.PageFault.class).kind());
                uffd.removeWriteProtection(memory.at(0), memory.page);
                writer.awaitZeros();
            }
        }
    }

    /**
     * 14. Registering with other modes replaces the old ones: write-protected pages are not reported any more (7.3: EBUSY).
     * Not done with huge pages, where the writer then never comes back from the kernel (seen on 6.18).
     */
    @EachMemory({MemoryKind.ANONYMOUS, MemoryKind.SHMEM, MemoryKind.SHMEM_PRIVATE})
    void otherModesReplaceTheOldOnes(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = openFor(kind)) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            writeAndProtect(memory, uffd);
            if (registerForMissing(memory, uffd)) {
                assertEquals(List.of(0L), new Steps().write(memory.at(0), 2).run());
                assertTrue(uffd.events().isEmpty());
            }
        }
    }

    /** 14. To add a mode, register with the old ones too. */
    @EachMemory
    void allModesTogetherAdd(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = openFor(kind)) {
            uffd.register(memory, RegisterMode.WRITE_PROTECT);
            writeAndProtect(memory, uffd);
            uffd.register(memory, RegisterMode.MISSING, RegisterMode.WRITE_PROTECT);
            try (Steps.Job both = new Steps().write(memory.at(0), 2).read(memory.at(1)).start()) {
                assertEquals(Event.PageFault.Kind.WRITE_PROTECTED, uffd.awaitEvent(Event.PageFault.class).kind());
                uffd.removeWriteProtection(memory.at(0), memory.page);
                assertEquals(Event.PageFault.Kind.MISSING, uffd.awaitEvent(Event.PageFault.class).kind());
                uffd.unregister(memory);
                both.awaitZeros();
            }
        }
    }

    private static CoveredUffd openFor(MemoryKind kind) throws IOException {
        return CoveredUffd.open(CoveredUffd.all(kind.writeProtect(), kind.missing().toArray(new Feature[0])));
    }

    private static void writeAndProtect(TestMemory memory, CoveredUffd uffd) throws IOException {
        try (TestMemory source = TestMemory.source(memory)) {
            uffd.copy(memory.at(0), source.at(0), memory.page);
        }
        uffd.writeProtect(memory.at(0), memory.page);
        assertEquals(Ability.PROTECTION_IN_PAGEMAP.isThere(), memory.isWriteProtected(0));
    }

    /** False if the kernel refuses it, as it does from 7.3. */
    private static boolean registerForMissing(TestMemory memory, CoveredUffd uffd) throws IOException {
        try {
            uffd.register(memory, RegisterMode.MISSING);
            return true;
        } catch (UffdException e) {
            assertEquals(Abi.EBUSY, e.errno());
            return false;
        }
    }

    /** 14. A second descriptor cannot end the registration of the first (on 6.12 it could). */
    @Test
    void aSecondDescriptorCannotUnregister() throws Exception {
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                CoveredUffd owner = CoveredUffd.open();
                CoveredUffd other = CoveredUffd.open()) {
            owner.register(memory, RegisterMode.MISSING);
            boolean refused = false;
            try {
                other.unregister(memory);
            } catch (UffdException e) {
                assertEquals(Abi.EINVAL, e.errno());
                refused = true;
            }
            try (Steps.Job reader = new Steps().read(memory.at(0)).start()) {
                assertEquals(refused, owner.poll(Duration.ofMillis(200)), "what was refused had no effect, what was not had");
                if (refused) {
                    owner.zeropage(memory.at(0), memory.page);
                }
                reader.awaitZeros();
            }
            assertFalse(owner.poll(Duration.ZERO) && refused);
            System.out.println("conformance: another descriptor's UNREGISTER " + (refused ? "is refused" : "has an effect")
                    + " on Linux " + Needs.system().kernel());
        }
    }
}
