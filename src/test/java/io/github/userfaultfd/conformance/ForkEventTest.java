// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.Uffd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A fork event brings a descriptor of the child: it works, and it is closed if nobody takes it. */
@Scenario(value = "fork event", features = Feature.EVENT_FORK)
class ForkEventTest {
    private static final int FORKS = 20;

    @EachMemory
    void childsDescriptorWorks(MemoryKind kind) throws Exception {
        try (TestMemory memory = TestMemory.of(kind);
                TestMemory source = TestMemory.source(memory);
                CoveredUffd uffd = CoveredUffd.open(CoveredUffd.all(kind.missing(), Feature.EVENT_FORK, Feature.THREAD_ID))) {
            uffd.register(memory, RegisterMode.MISSING);
            try (Steps.Job child = new Steps().read(memory.at(0)).fork();
                    CoveredUffd childs = new CoveredUffd(uffd.awaitEvent(Event.Fork.class).uffd())) {
                Event.PageFault fault = childs.awaitEvent(Event.PageFault.class);
                assertEquals(new Event.PageFault(memory.at(0), Event.PageFault.Kind.MISSING, false, child.childPid()), fault);
                assertEquals(uffd.uffd().features(), childs.uffd().features());
                assertEquals(uffd.uffd().enabledFeatures(), childs.uffd().enabledFeatures());
                childs.copy(fault.address(), source.at(0), memory.page);
                assertEquals(List.of((long) TestMemory.content(0)), child.await());
                assertTrue(uffd.events().isEmpty(), "the parent's descriptor hears nothing of it");
            }
        }
    }

    private static long openDescriptors() throws IOException {
        try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
            return open.filter(each -> isUserfaultfd(each)).count();
        }
    }

    private static boolean isUserfaultfd(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor).toString().equals("anon_inode:[userfaultfd]");
        } catch (IOException e) {
            return false; // The directory stream's own descriptor, closed meanwhile.
        }
    }

    @Test
    void undecodedEventsLeakNoDescriptor() throws Exception {
        try (TestMemory memory = TestMemory.of(MemoryKind.ANONYMOUS);
                CoveredUffd uffd = CoveredUffd.open(Feature.EVENT_FORK);
                EventBuffer buffer = EventBuffer.allocate(4)) {
            uffd.register(memory, RegisterMode.MISSING);
            long before = openDescriptors();
            for (int i = 0; i < FORKS; i++) {
                try (Steps.Job child = new Steps().gate(0).fork()) {
                    assertTrue(uffd.poll(Duration.ofSeconds(5)));
                    assertEquals(1, uffd.readEvents(buffer));
                    assertEquals(before + 1, openDescriptors(), "the kernel opened one");
                    child.awaitZeros();
                }
            }
            buffer.clear();
            assertEquals(before, openDescriptors());
            try (Steps.Job child = new Steps().gate(0).fork()) {
                assertTrue(uffd.poll(Duration.ofSeconds(5)));
                uffd.readEvents(buffer);
                Uffd taken = ((Event.Fork) buffer.get(0)).uffd();
                buffer.clear();
                assertEquals(before + 1, openDescriptors(), "one that was taken is the taker's");
                taken.close();
                child.awaitZeros();
            }
            assertEquals(before, openDescriptors());
        }
    }
}
