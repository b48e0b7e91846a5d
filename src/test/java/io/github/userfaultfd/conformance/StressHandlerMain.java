// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Event;
import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import java.io.IOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Resolves another JVM's faults with Java code: two descriptors that were inherited, and the files below its memory. */
public final class StressHandlerMain {
    private static final int THREADS = 2;

    private final Uffd uffd;
    private final long[] bases;
    private final long[] mappings;
    private final long length;
    private final int page;
    private final AtomicLong resolved;

    private StressHandlerMain(Uffd uffd, long[] bases, long[] mappings, long length, int page, AtomicLong resolved) {
        this.uffd = uffd;
        this.bases = bases;
        this.mappings = mappings;
        this.length = length;
        this.page = page;
        this.resolved = resolved;
    }

    /** Arguments: the polled and the blocking descriptor, two files, their addresses there, their length, the page size. */
    public static void main(String[] arguments) throws Exception {
        long length = Long.parseLong(arguments[6]);
        int page = Integer.parseInt(arguments[7]);
        long[] bases = {Long.parseLong(arguments[4]), Long.parseLong(arguments[5])};
        MappedByteBuffer[] files = {map(arguments[2], length), map(arguments[3], length)};
        long[] mappings = {Native.directAddress(files[0]), Native.directAddress(files[1])};
        AtomicLong resolved = new AtomicLong();
        List<Thread> threads = new ArrayList<>();
        try (Uffd polled = Uffd.adopt(Integer.parseInt(arguments[0]));
                Uffd blocking = Uffd.adopt(Integer.parseInt(arguments[1]))) {
            for (Uffd each : List.of(polled, blocking)) {
                StressHandlerMain handler = new StressHandlerMain(each, bases, mappings, length, page, resolved);
                for (int i = 0; i < THREADS; i++) {
                    Thread thread = new Thread(() -> handler.loop(each == polled));
                    thread.start();
                    threads.add(thread);
                }
            }
            System.out.println("ready");
            // Nobody writes: this returns when the other JVM closes its end.
            if (System.in.read() >= 0) {
                throw new IOException("input");
            }
        }
        for (Thread each : threads) {
            each.join();
        }
        System.out.println(resolved + " faults with " + files[0].capacity() + " bytes a file");
        System.out.println("done");
    }

    private static MappedByteBuffer map(String descriptor, long length) throws IOException {
        try (FileChannel file = FileChannel.open(Path.of("/proc/self/fd/" + descriptor), StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
            return file.map(FileChannel.MapMode.READ_WRITE, 0, length);
        }
    }

    private void loop(boolean polling) {
        try (EventBuffer buffer = EventBuffer.allocate(8)) {
            while (true) {
                if (polling) {
                    uffd.poll(Duration.ofMillis(50));
                }
                int count = uffd.readEvents(buffer);
                for (int i = 0; i < count; i++) {
                    resolve(buffer.faultAddress(i), buffer.faultKind(i));
                }
            }
        } catch (AsynchronousCloseException e) {
            return; // The end, while it waited.
        } catch (ClosedChannelException e) {
            return; // The end, between two calls.
        } catch (IOException | RuntimeException e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    /**
     * Of two threads that wait for one page the second may be told of when the round is over and nothing is registered any more:
     * ENOENT. A page that was not filled would be one of zeros then, and the counters in it are verified.
     */
    private void resolve(long address, Event.PageFault.Kind kind) throws IOException {
        resolved.incrementAndGet();
        try {
            resolve(address / page * page, kind == Event.PageFault.Kind.WRITE_PROTECTED);
        } catch (UffdException e) {
            if (e.errno() != Abi.ENOENT) {
                throw e;
            }
        }
    }

    private void resolve(long at, boolean writeProtected) throws IOException {
        if (writeProtected) {
            uffd.removeWriteProtection(at, page);
            return;
        }
        int into = at >= bases[0] && at < bases[0] + length ? 0 : 1;
        long source = mappings[1 - into] + at - bases[into];
        if (CoveredUffd.insist(() -> uffd.tryCopy(at, source, page)) == Uffd.EXISTS) {
            uffd.wake(at, page);
        }
    }
}
