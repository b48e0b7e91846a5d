// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.EventBuffer;
import io.github.userfaultfd.ProcessState;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.Close;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Crew;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What may hang or die, each in a JVM of its own. */
class PagingChildTest {
    private static final long PAGE = PageSize.system().bytes();
    /** Only a hang takes that long, even on a machine that has much else to do. */
    private static final Duration DEADLINE = Duration.ofSeconds(180);

    @TempDir
    private Path directory;

    /** 100,000 faults by four threads while the collector is asked to run in a loop. */
    static final class Storm {
        private static final int READERS = 4;

        public static void main(String[] arguments) throws Exception {
            FaultEngine engine = FaultEngine.valueOf(arguments[0]);
            long pages = 10_000;
            AtomicLong wrong = new AtomicLong();
            long faults = 0;
            AtomicLong collections = new AtomicLong();
            Thread collector = new Thread(() -> {
                for (;;) {
                    System.gc();
                    collections.incrementAndGet();
                    // Without a gap the JVM does nothing but collect, and the readers hardly run.
                    LockSupport.parkNanos(500_000);
                }
            });
            collector.setDaemon(true);
            collector.start();
            try (MemoryRegion source = MemoryRegion.anonymous(pages * PAGE)) {
                for (long page = 0; page < pages; page++) {
                    source.asByteBuffer(page * PAGE, 8).putLong(0, page * 0x9E3779B97F4A7C15L);
                }
                while (faults < 100_000) {
                    try (MemoryRegion region = MemoryRegion.anonymous(pages * PAGE);
                            Pager pager = Pager.of(region, PageSource.memory(source.address(), source.size()))
                                    .engine(engine).faultAround(PAGE).start()) {
                        try (Crew readers = new Crew()) {
                            for (int i = 0; i < READERS; i++) {
                                long first = i;
                                readers.once(() -> {
                                    for (long page = first; page < pages; page += READERS) {
                                        if (region.asByteBuffer(page * PAGE, 8).getLong(0) != page * 0x9E3779B97F4A7C15L) {
                                            wrong.incrementAndGet();
                                        }
                                    }
                                });
                            }
                        }
                        faults += pager.stats().faults();
                    }
                }
            }
            System.out.println("faults " + faults + ", collections " + collections + ", wrong " + wrong);
            System.exit(wrong.get() == 0 ? 0 : 3);
        }
    }

    /** Fetches as soon as the region knows of a pager, which is not there yet. */
    static final class FetchesEarly {
        private static void fetch(MemoryRegion region) {
            RegionOwner owner = RegionOwner.of(region, region.address());
            while (owner.service() == null) {
                Thread.onSpinWait();
            }
            try {
                region.fetch(PAGE, PAGE);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        public static void main(String[] arguments) throws Exception {
            FaultEngine engine = FaultEngine.valueOf(arguments[0]);
            try (MemoryRegion source = MemoryRegion.anonymous(4 * PAGE)) {
                source.asByteBuffer(PAGE, 8).putLong(0, 77);
                for (int i = 0; i < 300; i++) {
                    try (MemoryRegion region = MemoryRegion.anonymous(source.size())) {
                        CompletableFuture<Void> fetched = CompletableFuture.runAsync(() -> fetch(region));
                        Pager.of(region, PageSource.memory(source.address(), source.size())).engine(engine).start();
                        fetched.get();
                        if (region.residentPages(PAGE, PAGE).cardinality() != 1 || region.asByteBuffer(PAGE, 8).getLong(0) != 77) {
                            throw new AssertionError("not fetched");
                        }
                    }
                }
            }
            System.out.println("done");
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aFetchWhileAPagerStartsWaits(FaultEngine engine) throws Exception {
        String output = new ChildJvm().run(DEADLINE, FetchesEarly.class, engine.name()).assertExit(0).output();
        assertTrue(output.endsWith("done\n"), output);
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aStormUnderTheCollectorEnds(FaultEngine engine) throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx64m", "-XX:+UseSerialGC").run(DEADLINE, Storm.class, engine.name()).assertExit(0);
        assertTrue(result.output().contains("wrong 0"), result.output());
        System.out.println(engine + ": " + result.output().strip() + " in " + result.time().toMillis() + " ms");
    }

    /** Reads pages that are there for a second, and pages that are not for another, under the flight recorder. */
    static final class Sampled {
        private static final long PAGES = 2048;

        static long readAgain(ByteBuffer memory) {
            long sum = 0;
            for (int round = 0; round < 200; round++) {
                for (long page = 0; page < PAGES; page++) {
                    sum += memory.get((int) (page * PAGE));
                }
            }
            return sum;
        }

        static long fault(ByteBuffer memory) {
            long sum = 0;
            for (long page = 0; page < PAGES; page++) {
                sum += memory.get((int) (page * PAGE));
            }
            return sum;
        }

        public static void main(String[] arguments) throws Exception {
            long sum = 0;
            long reading = 0;
            long faulting = 0;
            try (MemoryRegion source = MemoryRegion.anonymous(PAGES * PAGE);
                    MemoryRegion region = MemoryRegion.anonymous(PAGES * PAGE)) {
                Pager.of(region, PageSource.memory(source.address(), source.size())).engine(FaultEngine.valueOf(arguments[0]))
                        .faultAround(PAGE).start();
                ByteBuffer memory = region.asByteBuffer(0, (int) region.size());
                while (reading < 1e9 || faulting < 1e9) {
                    long start = System.nanoTime();
                    sum += fault(memory);
                    long between = System.nanoTime();
                    sum += readAgain(memory);
                    reading += System.nanoTime() - between;
                    faulting += between - start;
                    region.discard(0, region.size());
                }
            }
            System.out.println(reading + " " + faulting + " " + sum);
        }
    }

    /** The samples of a profiler show the instruction that faults, for as long as the fault takes. */
    @ParameterizedTest
    @ValueSource(strings = {"own", "newer"})
    void aProfilerSeesFaults(String jdk) throws Exception {
        Path java = jdk.equals("own") ? ChildJvm.java() : Needs.newerJava();
        Path recorded = directory.resolve("samples.jfr");
        List<String> printed = new ChildJvm().java(java).options("-Xmx64m", "-XX:+UseSerialGC",
                "-XX:StartFlightRecording:settings=none,+jdk.ExecutionSample#enabled=true,+jdk.ExecutionSample#period=1ms,filename="
                + recorded).run(DEADLINE, Sampled.class, FaultEngine.INLINE.name()).assertExit(0).output().lines().toList();
        String[] nanoseconds = printed.get(printed.size() - 1).split(" ");
        Map<Boolean, Long> samples = RecordingFile.readAllEvents(recorded).stream()
                .filter(event -> event.getEventType().getName().equals("jdk.ExecutionSample"))
                .collect(Collectors.partitioningBy(event -> event.getStackTrace().getFrames().stream()
                        .anyMatch(frame -> frame.getMethod().getName().equals("fault")), Collectors.counting()));
        double reading = samples.get(false) / Double.parseDouble(nanoseconds[0]) * 1e9;
        double faulting = samples.get(true) / Double.parseDouble(nanoseconds[1]) * 1e9;
        System.out.printf("%s JDK: %.0f samples a second that reads, %.0f a second that faults%n", jdk, reading, faulting);
        assertTrue(faulting > reading / 2, samples.toString());
    }

    /** What nobody should do: faults of Java code resolved by Java code of the same JVM. */
    static final class NaiveHandler {
        public static void main(String[] arguments) throws Exception {
            long pages = 20_000;
            try (MemoryRegion region = MemoryRegion.anonymous(pages * PAGE); MemoryRegion source = MemoryRegion.anonymous(PAGE)) {
                source.asByteBuffer(0, 1).put(0, (byte) 1);
                Uffd uffd = new UffdBuilder().create();
                uffd.register(region.address(), region.size());
                Thread handler = new Thread(() -> {
                    try (EventBuffer buffer = EventBuffer.allocate(16)) {
                        for (;;) {
                            for (int i = uffd.readEvents(buffer) - 1; i >= 0; i--) {
                                uffd.tryCopy(buffer.faultAddress(i), source.address(), PAGE);
                            }
                        }
                    } catch (Exception e) {
                        throw new AssertionError(e);
                    }
                });
                handler.setDaemon(true);
                handler.start();
                Thread collector = new Thread(() -> {
                    for (;;) {
                        System.gc();
                    }
                });
                collector.setDaemon(true);
                collector.start();
                for (long page = 0; page < pages; page++) {
                    if (region.asByteBuffer(page * PAGE, 1).get(0) != 1) {
                        System.exit(3);
                    }
                }
                System.exit(0);
            }
        }
    }

    @Test
    void theNaiveHandlerShowsTheHazard() throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx64m").run(Duration.ofSeconds(10), NaiveHandler.class);
        System.out.println(result.killed()
                ? "naive Java handler: hung, and had to be killed after " + result.time().toMillis() + " ms"
                : "naive Java handler: the hazard was not hit within " + result.time().toMillis() + " ms");
        assertTrue(result.killed() || result.exit() == 0, result.output());
    }

    /** A file cut short under a reader. */
    static final class CutShort {
        public static void main(String[] arguments) throws Exception {
            Path file = Path.of(arguments[0]);
            MemoryRegion region = MemoryRegion.anonymous(Files.size(file));
            Pager.of(region, PageSource.file(file)).engine(FaultEngine.valueOf(arguments[1])).faultAround(PAGE).start();
            region.asByteBuffer(0, 1).get(0);
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(PAGE);
            }
            System.out.println("read " + region.asByteBuffer(5 * PAGE, 1).get(0));
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void aFailedSourceEndsTheProcessWithOneLine(FaultEngine engine) throws Exception {
        Path file = Files.write(directory.resolve("cut"), new byte[(int) (8 * PAGE)]);
        ChildJvm.Result result = new ChildJvm().options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null")
                .run(DEADLINE, CutShort.class, file.toString(), engine.name()).assertExit(128 + 6);
        assertTrue(result.output().contains("userfaultfd: the page at offset " + 5 * PAGE), result.output());
        assertTrue(result.output().contains(file.toString()), result.output());
        assertFalse(result.output().contains("read "), result.output());
    }

    /** Everything once, to see that the JNI checks have nothing to say. */
    static final class Everything {
        public static void main(String[] arguments) throws Exception {
            if (!ManagementFactory.getRuntimeMXBean().getInputArguments().contains("-Xcheck:jni")) {
                throw new AssertionError("-Xcheck:jni is not in effect");
            }
            try (MemoryRegion region = MemoryRegion.shared(64 * PAGE); MemoryRegion plain = MemoryRegion.anonymous(64 * PAGE)) {
                plain.asByteBuffer(0, 100).putInt(0, 1);
                plain.fetch(0, plain.size());
                try (Pager pager = Pager.of(region, PageSource.memory(plain.address(), plain.size())).start()) {
                    ByteBuffer buffer = region.asByteBuffer(0, (int) region.size());
                    while (buffer.hasRemaining()) {
                        buffer.get();
                    }
                    pager.prefetch(0, region.size());
                    System.out.println(pager + " " + pager.stats());
                }
                region.discard(0, PAGE);
                region.residentPages(0, region.size());
            }
            MemoryRegion detached = MemoryRegion.anonymous(64 * PAGE);
            Pager.of(detached, PageSource.zeros()).onClose(Close.DETACH).start().close();
            detached.close();
            try (Uffd uffd = new UffdBuilder().nonBlocking(true).create(); EventBuffer buffer = EventBuffer.allocate(4);
                    MemoryRegion region = MemoryRegion.anonymous(4 * PAGE)) {
                uffd.register(region.address(), region.size());
                uffd.zeropage(region.address(), PAGE);
                uffd.readEvents(buffer);
                uffd.poll(Duration.ofMillis(1));
            }
            System.out.println("done");
        }
    }

    @Test
    void theJniChecksAreSilent() throws Exception {
        assertTrue(ManagementFactory.getRuntimeMXBean().getInputArguments().contains("-Xcheck:jni"), "in the tests' own JVM");
        assertSilent(new ChildJvm().options("-Xcheck:jni", "-XX:+AllowUserSignalHandlers"));
    }

    @Test
    void theJniChecksAreSilentOnANewerJdk() throws Exception {
        assertSilent(new ChildJvm().java(Needs.newerJava()).options("-Xcheck:jni", "-XX:+AllowUserSignalHandlers",
                "--enable-native-access=ALL-UNNAMED"));
    }

    private static void assertSilent(ChildJvm jvm) throws Exception {
        ChildJvm.Result result = jvm.run(DEADLINE, Everything.class).assertExit(0);
        assertTrue(result.output().endsWith("done\n"), result.output());
        assertEquals(2, result.output().lines().count(), result.output());
    }

    /** Looks again for a while: the JVM opens and maps things of its own, and addresses go when the collector has run. */
    private static boolean nothingLeft(String what, int descriptors, int mappings) throws InterruptedException {
        int descriptorsNow = -1;
        int mappingsNow = -1;
        boolean same = false;
        for (int i = 0; i < 100 && !same; i++) {
            System.gc();
            Thread.sleep(20);
            descriptorsNow = ProcessState.descriptors();
            mappingsNow = ProcessState.mappings();
            same = descriptorsNow == descriptors && mappingsNow <= mappings + 8;
        }
        System.out.println(what + "descriptors " + descriptors + " before, " + descriptorsNow + " after; mappings " + mappings
                + " before, " + mappingsNow + " after");
        return same;
    }

    /** As many descriptors and mappings after as before. */
    static final class Cycles {
        public static void main(String[] arguments) throws Exception {
            int cycles = Integer.parseInt(arguments[0]);
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
                int descriptors = 0;
                int mappings = 0;
                long start = 0;
                for (int i = -20_000; i < cycles; i++) {
                    if (i == 0) {
                        System.gc();
                        descriptors = ProcessState.descriptors();
                        mappings = ProcessState.mappings();
                        start = System.nanoTime();
                    }
                    try (Uffd uffd = new UffdBuilder().nonBlocking(true).create()) {
                        uffd.register(region.address(), PAGE);
                    }
                }
                long nanos = (System.nanoTime() - start) / cycles;
                System.exit(nothingLeft(cycles + " cycles of " + nanos + " ns; ", descriptors, mappings) ? 0 : 3);
            }
        }
    }

    /** The same for pagers, whose regions, sources and threads have to go too. */
    static final class PagerCycles {
        public static void main(String[] arguments) throws Exception {
            int descriptors = 0;
            int mappings = 0;
            for (int i = -2000; i < 10_000; i++) {
                if (i == 0) {
                    System.gc();
                    Thread.sleep(200);
                    descriptors = ProcessState.descriptors();
                    mappings = ProcessState.mappings();
                }
                try (MemoryRegion region = MemoryRegion.shared(4 * PAGE);
                        Pager pager = Pager.of(region, PageSource.file(Path.of(arguments[0])))
                                .engine(FaultEngine.valueOf(arguments[1])).start()) {
                    if (i % 2 == 0) {
                        region.asByteBuffer(0, 1).get(0);
                    }
                    pager.check();
                }
                if (i % 500 == 499) {
                    System.gc(); // the addresses of a region go with the last buffer over it
                }
            }
            System.exit(nothingLeft("", descriptors, mappings) ? 0 : 3);
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void tenThousandPagersLeaveNothingBehind(FaultEngine engine) throws Exception {
        Path file = Files.write(directory.resolve("cycles"), new byte[(int) (4 * PAGE)]);
        ChildJvm.Result result = new ChildJvm().options("-Xmx64m", "-Xms64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC")
                .run(DEADLINE, PagerCycles.class, file.toString(), engine.name()).assertExit(0);
        System.out.println(engine + ": " + result.output().strip());
    }

    @Test
    void aMillionDescriptorsLeaveNothingBehind() throws Exception {
        ChildJvm.Result result = new ChildJvm().options("-Xmx64m", "-Xms64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC")
                .run(DEADLINE, Cycles.class, "1000000").assertExit(0);
        System.out.println(result.output().strip());
    }

    /** Buffers of a region that is closed meanwhile, in many ways of access. */
    static final class Late {
        public static void main(String[] arguments) throws Exception {
            int refused = 0;
            for (int round = 0; round < 200; round++) {
                MemoryRegion region = MemoryRegion.anonymous(4 * PAGE);
                ByteBuffer buffer = region.asByteBuffer(PAGE, 64);
                ByteBuffer slice = buffer.slice(8, 16);
                ByteBuffer readOnly = buffer.asReadOnlyBuffer();
                region.close();
                Runnable[] accesses = {() -> buffer.get(0), () -> buffer.put(0, (byte) 1), () -> buffer.getLong(8),
                    () -> slice.get(3), () -> readOnly.getInt(0), () -> buffer.get(0, new byte[64]),
                    () -> buffer.put(ByteBuffer.allocate(8)), () -> buffer.asLongBuffer().get(0),
                    () -> new java.util.zip.CRC32().update(buffer.duplicate()), () -> buffer.mismatch(slice)};
                for (Runnable each : accesses) {
                    try {
                        each.run();
                        throw new AssertionError("a late access went through");
                    } catch (IllegalStateException e) {
                        refused++;
                    }
                }
            }
            System.out.println(refused + " late accesses refused");
        }
    }

    @Test
    void lateAccessesAreRefusedOnANewerJdk() throws Exception {
        ChildJvm.Result result = new ChildJvm().java(Needs.newerJava()).options("--enable-native-access=ALL-UNNAMED")
                .run(DEADLINE, Late.class).assertExit(0);
        assertEquals("2000 late accesses refused\n", result.output());
    }

    /** Two copies of the library, as two web applications would load them: the handler of the second hands on to the first's. */
    static final class TwoCopies {
        public static void main(String[] arguments) throws Exception {
            List<URL> path = new ArrayList<>();
            for (String each : System.getProperty("java.class.path").split(":")) {
                path.add(Path.of(each).toUri().toURL());
            }
            List<Runnable> readers = new ArrayList<>();
            for (int copy = 0; copy < 2; copy++) {
                ClassLoader loader = new URLClassLoader(path.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
                readers.add((Runnable) loader.loadClass(InlineReader.class.getName()).getDeclaredConstructor().newInstance());
            }
            for (int round = 0; round < 100; round++) {
                readers.forEach(Runnable::run);
            }
            System.out.println("both read");
        }
    }

    /** One page a call, through the engine INLINE of the class loader's own copy of the library. */
    public static final class InlineReader implements Runnable {
        private final MemoryRegion region;
        private final Pager pager;
        private long next;

        /** Starts paging. */
        public InlineReader() throws Exception {
            region = MemoryRegion.anonymous(100 * PAGE);
            pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.INLINE).faultAround(PAGE).start();
        }

        @Override
        public void run() {
            try {
                if (region.asByteBuffer(next++ * PAGE, 1).get(0) != 0 || pager.stats().faults() != next) {
                    throw new AssertionError(pager.stats().toString());
                }
                pager.check();
            } catch (UffdException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void twoCopiesOfTheLibraryServeTheirOwnRegions() throws Exception {
        String jars = ChildJvm.root().resolve("target/lib").toFile().list().length > 0
                ? String.join(":", Files.list(ChildJvm.root().resolve("target/lib")).map(Path::toString).toList()) : "";
        ChildJvm.Result result = new ChildJvm().classPath(ChildJvm.classes() + "/:" + ChildJvm.testClasses() + "/:" + jars)
                .run(DEADLINE, TwoCopies.class).assertExit(0);
        assertEquals("both read\n", result.output());
    }

    /** Runs a program of src/test/java25, which only a newer JDK can compile. */
    private static String newer(String program) throws Exception {
        return ChildJvm.run(DEADLINE, List.of(Needs.newerJava().toString(), "--enable-native-access=ALL-UNNAMED", "-cp",
                ChildJvm.classes() + ":" + ChildJvm.root().resolve("target/lib") + "/*",
                ChildJvm.root().resolve("src/test/java25/" + program).toString())).assertExit(0).output();
    }

    @Test
    void aSegmentOfABufferKeepsTheAddresses() throws Exception {
        String output = newer("KeptSegment.java");
        assertTrue(output.contains("kept 0\n") && output.endsWith("given back\n"), output);
    }

    /** Faults that are no affair of this library: a file cut short behind a plain mapping, and a SIGBUS that somebody sends. */
    static final class OthersFaults {
        public static void main(String[] arguments) throws Exception {
            Path file = Path.of(arguments[0]);
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE); Pager pager = Pager.of(region, PageSource.zeros())
                    .engine(FaultEngine.INLINE).start(); FileChannel channel = FileChannel.open(file, StandardOpenOption.READ,
                    StandardOpenOption.WRITE)) {
                System.out.println("paged " + region.asByteBuffer(0, 1).get(0));
                pager.check();
                ByteBuffer mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, 4 * PAGE);
                channel.truncate(PAGE);
                int sum = 0;
                for (int i = 0; i < 100_000; i++) {
                    sum += mapped.get(3 * (int) PAGE + i % 8);
                }
                System.out.println("read behind the end " + sum);
            } catch (InternalError e) {
                System.out.println("told by the JVM");
            }
            new ProcessBuilder("kill", "-BUS", Long.toString(ProcessHandle.current().pid())).inheritIO().start().waitFor();
            Thread.sleep(DEADLINE.toMillis());
        }
    }

    /** With libjsig, which swallows our sigaction(), the JVM's handler is still the next in the chain, and no circle. */
    @Test
    void aFaultThatIsNotOursIsTheJvmsUnderLibjsigToo() throws Exception {
        Path jsig = ChildJvm.java().toRealPath().getParent().getParent().resolve("lib/libjsig.so");
        assertTrue(Files.exists(jsig), jsig.toString());
        for (String preload : new String[] {"", jsig.toString()}) {
            Path file = Files.write(directory.resolve("cut"), new byte[(int) (4 * PAGE)]);
            String output = new ChildJvm().startedBy("env", "LD_PRELOAD=" + preload)
                    .options("-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=" + directory.resolve("error"))
                    .run(DEADLINE, OthersFaults.class, file.toString()).assertExit(1).output();
            assertTrue(output.startsWith("paged 0\ntold by the JVM\n") && output.contains("SIGBUS"), preload + output);
            Files.delete(directory.resolve("error"));
        }
    }

    /** Uses up all descriptors and closes. */
    static final class NoDescriptorLeft {
        public static void main(String[] arguments) throws Exception {
            // Classes are files too: those of closing are loaded here.
            try (MemoryRegion region = MemoryRegion.anonymous(PAGE)) {
                Pager.of(region, PageSource.zeros()).onClose(Close.DETACH).start().close();
            }
            MemoryRegion region = MemoryRegion.anonymous(4 * PAGE);
            Pager pager = Pager.of(region, PageSource.zeros()).onClose(Close.DETACH).start();
            MemoryRegion other = MemoryRegion.anonymous(4 * PAGE);
            List<FileChannel> open = new ArrayList<>();
            boolean full = false;
            while (!full) {
                try {
                    open.add(FileChannel.open(Path.of("/proc/self/maps")));
                } catch (IOException e) {
                    full = true;
                }
            }
            other.close();
            pager.close();
            region.close();
            for (FileChannel each : open) {
                each.close();
            }
            System.out.println("closed");
        }
    }

    @Test
    void closingNeedsNoDescriptor() throws Exception {
        assertEquals("closed\n", new ChildJvm().startedBy("prlimit", "--nofile=100").run(DEADLINE, NoDescriptorLeft.class)
                .assertExit(0).output());
    }

    @Test
    void aReplacedSignalHandlerIsTold() throws Exception {
        String output = newer("ReplacedHandler.java");
        assertTrue(output.contains("check of Pager[INLINE"), output);
        assertTrue(output.contains("INLINE refused: start with engine INLINE: "), output);
        assertTrue(output.contains("AUTO took THREAD"), output);
        assertTrue(output.contains("SEVERE: other code has replaced the SIGBUS handler"), output);
        assertTrue(output.contains("given back: fine"), output);
    }
}
