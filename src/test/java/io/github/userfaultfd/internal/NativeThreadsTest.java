// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PagerProcess;
import io.github.userfaultfd.support.Soon;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.management.ObjectName;
import org.junit.jupiter.api.Test;

/** What SECURITY.md says of the threads of the native library: all signals are blocked in them, and the JVM does not know them. */
class NativeThreadsTest {
    private static final Pattern NATIVE_ID = Pattern.compile("\\bnid=(\\w+)");
    /** SIGKILL and SIGSTOP cannot be blocked. */
    private static final long BLOCKABLE = ~(signal(9) | signal(19));
    /** What libc has for itself and leaves open in every thread, glibc two of them and musl three. */
    private static final long OF_LIBC = signal(32) | signal(33) | signal(34);

    /** Loads zeros. */
    static final class Zeros implements PageLoader {
        @Override
        public void load(long offset, ByteBuffer page) {
            page.position(page.limit());
        }
    }

    private static long signal(int number) {
        return 1L << number - 1;
    }

    private static Set<String> threads(String name) {
        try (Stream<Path> all = Files.list(Path.of("/proc/self/task"))) {
            return all.map(each -> each.getFileName().toString())
                    .filter(each -> ProcFiles.line("/proc/self/task/" + each + "/comm").orElse("").equals(name))
                    .collect(Collectors.toSet());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The threads that a thread dump names, by the kernel's numbers. */
    private static Set<String> attached() throws Exception {
        Object dump = ManagementFactory.getPlatformMBeanServer().invoke(new ObjectName("com.sun.management:type=DiagnosticCommand"),
                "threadPrint", new Object[] {new String[0]}, new String[] {String[].class.getName()});
        return NATIVE_ID.matcher(dump.toString()).results().map(each -> Long.decode(each.group(1)).toString())
                .collect(Collectors.toSet());
    }

    /** Those that have come since. They give themselves their name, a moment after they were started. */
    private static void assertApart(String name, Set<String> before, int count) throws Exception {
        Soon.assertEquals(before.size() + count, () -> threads(name).size(), "threads named " + name);
        Set<String> own = threads(name);
        own.removeAll(before);
        for (String each : own) {
            String mask = ProcFiles.field("/proc/self/task/" + each + "/status", "SigBlk").orElseThrow();
            long blocked = Long.parseUnsignedLong(mask, 16);
            assertEquals(Long.toHexString(BLOCKABLE), Long.toHexString((blocked | OF_LIBC) & BLOCKABLE), name);
        }
        Set<String> attached = attached();
        assertTrue(attached.contains(Path.of("/proc/thread-self").toRealPath().getFileName().toString()), attached::toString);
        attached.retainAll(own);
        assertEquals(Set.of(), attached, name);
    }

    @Test
    void thoseOfAnEngine() throws Exception {
        Set<String> before = threads("userfaultfd");
        try (MemoryRegion region = MemoryRegion.anonymous(Ranges.PAGE);
                Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.THREAD).threads(2).start()) {
            assertApart("userfaultfd", before, 2);
            assertEquals(FaultEngine.THREAD, pager.engine());
        }
    }

    @Test
    void theOneOfAPagerProcess() throws Exception {
        String name = "userfaultfd-kee"; // the kernel keeps 15 characters
        Set<String> before = threads(name);
        try (MemoryRegion region = MemoryRegion.anonymous(Ranges.PAGE);
                PagerProcess pager = PagerProcess.start(region, Zeros.class)) {
            assertApart(name, before, 1);
            pager.check();
        }
    }
}
