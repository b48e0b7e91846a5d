// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** A {@link Uffd} that notes in {@link Coverage} which features, ioctls and modes the kernel really carried out. */
final class CoveredUffd implements AutoCloseable {
    private static final long PATIENCE_NANOS = 5_000_000_000L * ChildJvm.PATIENCE;

    private final Uffd uffd;

    CoveredUffd(Uffd uffd) {
        this.uffd = uffd;
    }

    /** Non-blocking, closed by exec, faults of user mode only. */
    static CoveredUffd open(Feature... features) throws IOException {
        return open(Arrays.asList(features));
    }

    static CoveredUffd open(Collection<Feature> features) throws IOException {
        return create(new UffdBuilder().nonBlocking(true), features);
    }

    /** Also for faults that system calls raise. */
    static CoveredUffd openForKernelToo(Feature... features) throws IOException {
        Needs.rightsFor(Arrays.asList(features), false);
        return create(new UffdBuilder().nonBlocking(true).userModeOnly(false), Arrays.asList(features));
    }

    static CoveredUffd openBlocking(Feature... features) throws IOException {
        return create(new UffdBuilder(), Arrays.asList(features));
    }

    static CoveredUffd create(UffdBuilder builder, Collection<Feature> features) throws IOException {
        return create(builder, features, true);
    }

    static CoveredUffd create(UffdBuilder builder, Collection<Feature> features, boolean closeOnExec) throws IOException {
        Needs.features(features);
        Needs.rightsFor(features, true);
        Uffd uffd = builder.closeOnExec(closeOnExec).requireFeatures(features).create();
        Set<Feature> asked = EnumSet.noneOf(Feature.class);
        asked.addAll(features);
        assertEquals(asked, uffd.enabledFeatures());
        Coverage.enabled(uffd.enabledFeatures());
        Coverage.called(Ioctl.API);
        return new CoveredUffd(uffd);
    }

    /** Everything that is required together, each once. */
    static Set<Feature> all(Set<Feature> first, Feature... more) {
        EnumSet<Feature> sum = EnumSet.noneOf(Feature.class);
        sum.addAll(first);
        sum.addAll(Arrays.asList(more));
        return sum;
    }

    Uffd uffd() {
        return uffd;
    }

    int fd() {
        return uffd.fd();
    }

    Set<Ioctl> register(TestMemory memory, RegisterMode... modes) throws IOException {
        return register(memory.address(), memory.length, modes);
    }

    Set<Ioctl> register(long address, long length, RegisterMode... modes) throws IOException {
        Set<Ioctl> ioctls = uffd.register(address, length, modes);
        Coverage.called(Ioctl.REGISTER);
        Coverage.registered(modes);
        return ioctls;
    }

    void unregister(TestMemory memory) throws IOException {
        unregister(memory.address(), memory.length);
    }

    void unregister(long address, long length) throws IOException {
        uffd.unregister(address, length);
        Coverage.called(Ioctl.UNREGISTER);
    }

    private static long noted(Ioctl ioctl, long result, ResolveMode... modes) {
        if (result > 0) {
            Coverage.called(ioctl, modes);
        }
        return result;
    }

    long copy(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.COPY, uffd.copy(destination, source, length, modes), modes);
    }

    long tryCopy(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.COPY, uffd.tryCopy(destination, source, length, modes), modes);
    }

    long zeropage(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.ZEROPAGE, uffd.zeropage(address, length, modes), modes);
    }

    long tryZeropage(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.ZEROPAGE, uffd.tryZeropage(address, length, modes), modes);
    }

    long move(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.MOVE, uffd.move(destination, source, length, modes), modes);
    }

    long tryMove(long destination, long source, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.MOVE, uffd.tryMove(destination, source, length, modes), modes);
    }

    long continueRange(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.CONTINUE, uffd.continueRange(address, length, modes), modes);
    }

    long tryContinueRange(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.CONTINUE, uffd.tryContinueRange(address, length, modes), modes);
    }

    long poison(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.POISON, uffd.poison(address, length, modes), modes);
    }

    long tryPoison(long address, long length, ResolveMode... modes) throws IOException {
        return noted(Ioctl.POISON, uffd.tryPoison(address, length, modes), modes);
    }

    void writeProtect(long address, long length) throws IOException {
        uffd.writeProtect(address, length);
        Coverage.called(Ioctl.WRITEPROTECT);
    }

    void removeWriteProtection(long address, long length, ResolveMode... modes) throws IOException {
        uffd.removeWriteProtection(address, length, modes);
        Coverage.called(Ioctl.WRITEPROTECT, modes);
    }

    void readWriteProtect(long address, long length) throws IOException {
        uffd.readWriteProtect(address, length);
        Coverage.called(Ioctl.RWPROTECT);
    }

    void removeReadWriteProtection(long address, long length, ResolveMode... modes) throws IOException {
        uffd.removeReadWriteProtection(address, length, modes);
        Coverage.called(Ioctl.RWPROTECT, modes);
    }

    void setMode(Set<Feature> enable, Set<Feature> disable) throws IOException {
        uffd.setMode(enable, disable);
        Set<Feature> now = uffd.enabledFeatures();
        assertTrue(now.containsAll(enable) && Collections.disjoint(now, disable), now::toString);
        Coverage.called(Ioctl.SET_MODE);
    }

    void wake(long address, long length) throws IOException {
        uffd.wake(address, length);
        Coverage.called(Ioctl.WAKE);
    }

    Optional<Event> readEvent() throws IOException {
        return uffd.readEvent();
    }

    int readEvents(EventBuffer buffer) throws IOException {
        return uffd.readEvents(buffer);
    }

    boolean poll(Duration timeout) throws IOException {
        return uffd.poll(timeout);
    }

    /** Waits for the next event, which has to come. */
    Event awaitEvent() throws IOException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (System.nanoTime() < deadline) {
            if (uffd.poll(Duration.ofMillis(100))) {
                Optional<Event> event = uffd.readEvent();
                if (event.isPresent()) {
                    return event.get();
                }
            }
        }
        throw new AssertionError("no event came");
    }

    /** Waits for the next event and checks that it is of the expected kind. */
    <T extends Event> T awaitEvent(Class<T> type) throws IOException {
        Event event = awaitEvent();
        assertEquals(type, event.getClass(), event::toString);
        return type.cast(event);
    }

    /** All events there are now, without waiting. */
    List<Event> events() throws IOException {
        List<Event> found = new ArrayList<>();
        for (Optional<Event> next = uffd.readEvent(); next.isPresent(); next = uffd.readEvent()) {
            found.add(next.get());
        }
        return found;
    }

    /** A filling call that may be told to try again. */
    interface Fill {
        long run() throws IOException;
    }

    /** Repeats a call while the kernel says AGAIN: after an event was read that goes on for a moment. */
    static long insist(Fill fill) throws IOException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        long result;
        do {
            result = fill.run();
        } while (result == Uffd.AGAIN && System.nanoTime() < deadline);
        return result;
    }

    @Override
    public void close() {
        uffd.close();
    }
}
