// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import io.github.userfaultfd.memory.PageSize;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Measures everything and keeps it as JSON for {@link Report}. Java and C run alternately; JMH's part is {@link JmhPart}. */
public final class Bench {
    private static final int HUGE_PAGES = 32;
    private static final int RARE_PAGES = 160;
    private static final long MILLISECOND = 1_000_000;
    private static final long KIB = 1024;

    private final Scale scale;
    private final Path program;
    private final Path file;
    private final Rounds rounds;
    /** Of reading the file, which takes longer. */
    private final Rounds fileRounds;
    private final List<String> leftOut = new ArrayList<>();

    private Bench(Scale scale, Path program, Path file) {
        this.scale = scale;
        this.program = program;
        this.file = file;
        rounds = new Rounds(scale.rounds);
        fileRounds = new Rounds(Math.min(scale.rounds, 5));
    }

    /** Enough pages for a tenth of a second or so: what goes to another thread takes ten times as long. */
    private int pages(Engine engine, Memory memory, int around) {
        if (memory == Memory.HUGE) {
            return HUGE_PAGES;
        }
        int pages = engine == Engine.INLINE ? 16384 : 4096;
        return (around > 1 ? 4 * pages : pages) / scale.divisor;
    }

    private static String name(Engine engine, Memory memory, int around, int threads) {
        return engine + " " + memory + (around > 1 ? ", " + around + " pages a fault" : "")
                + (threads > 1 ? ", " + threads + " threads" : "");
    }

    private void besideC(Engine engine, Memory memory, int around, int threads) throws Exception {
        besideC(engine, memory, around, threads, engine.inC(), "C, " + engine.inC());
    }

    private void besideC(Engine engine, Memory memory, int around, int threads, String engineInC, String other) throws Exception {
        int pages = pages(engine, memory, around);
        rounds.compare("c", name(engine, memory, around, threads), () -> PagedMemory.run(engine, memory, around, threads, pages),
                other, () -> Programs.faultsInC(program, engineInC, memory, around, threads, pages), "ns/page", around);
    }

    private void quickFaults(boolean hugePages) throws Exception {
        besideC(Engine.INLINE, Memory.ANONYMOUS, 1, 1);
        besideC(Engine.INLINE, Memory.ANONYMOUS, 1, 1, "inline+mask", "C, inline, signals blocked");
        besideC(Engine.INLINE, Memory.ANONYMOUS, 1, 2);
        besideC(Engine.INLINE, Memory.ANONYMOUS, 16, 1);
        besideC(Engine.INLINE, Memory.ANONYMOUS, 256, 1);
        besideC(Engine.INLINE, Memory.SHARED, 1, 1);
        besideC(Engine.THREAD, Memory.ANONYMOUS, 1, 1);
        besideC(Engine.THREAD, Memory.ANONYMOUS, 16, 1);
        besideC(Engine.BLOCK, Memory.ANONYMOUS, 1, 1);
        besideC(Engine.POLL, Memory.ANONYMOUS, 1, 1);
        besideC(Engine.POLL, Memory.ANONYMOUS, 1, 2);
        besideC(Engine.POLL, Memory.CONTINUE, 1, 1);
        besideC(Engine.POLL, Memory.CONTINUE, 16, 1);
        if (hugePages) {
            besideC(Engine.INLINE, Memory.HUGE, 1, 1);
            besideC(Engine.THREAD, Memory.HUGE, 1, 1);
        }
    }

    private void allFaults(boolean hugePages) throws Exception {
        for (Engine engine : Engine.values()) {
            for (Memory memory : Memory.values()) {
                if (memory == Memory.HUGE && !hugePages || memory == Memory.CONTINUE && !engine.isJava()) {
                    continue;
                }
                for (int around : memory == Memory.HUGE ? new int[] {1, 4} : new int[] {1, 4, 16, 64, 256}) {
                    besideC(engine, memory, around, 1);
                    besideC(engine, memory, around, 2);
                }
            }
        }
    }

    /** The inline engine beside what else could be done about a page, all in C. */
    private void alternatives() throws Exception {
        int pages = pages(Engine.INLINE, Memory.ANONYMOUS, 1);
        int fewer = pages(Engine.THREAD, Memory.ANONYMOUS, 1);
        Rounds.Measurement inline = () -> PagedMemory.run(Engine.INLINE, Memory.ANONYMOUS, 1, 1, pages);
        String name = name(Engine.INLINE, Memory.ANONYMOUS, 1, 1);
        for (String loop : new String[] {"block", "poll", "busy"}) {
            rounds.compare("alternatives", name, inline, "C, handler thread (" + loop + "), idle",
                    () -> Programs.faultsInC(program, loop, Memory.ANONYMOUS, 1, 1, fewer), "ns/page", 0);
            rounds.compare("alternatives", name, inline, "C, handler thread (" + loop + "), busy",
                    () -> Programs.faultsInC(program, loop + "+load", Memory.ANONYMOUS, 1, 1, fewer), "ns/page", 0);
            rounds.compare("alternatives", name + ", a fault each ms", () -> PagedMemory.runRarely(Engine.INLINE, Memory.ANONYMOUS,
                    RARE_PAGES / scale.divisor, MILLISECOND), "C, handler thread (" + loop + "), a fault each ms",
                    () -> Programs.faultsInC(program, loop + "+rare", Memory.ANONYMOUS, 1, 1, RARE_PAGES / scale.divisor), "ns/page",
                    0);
        }
        rounds.compare("alternatives", name, inline, "C, UFFDIO_COPY alone, no fault",
                () -> Programs.faultsInC(program, "copy", Memory.ANONYMOUS, 1, 1, pages), "ns/page", 0);
        rounds.compare("alternatives", name(Engine.INLINE, Memory.ANONYMOUS, 16, 1),
                () -> PagedMemory.run(Engine.INLINE, Memory.ANONYMOUS, 16, 1, 4 * pages), "C, UFFDIO_COPY of 16 pages, no fault",
                () -> Programs.faultsInC(program, "copy", Memory.ANONYMOUS, 16, 1, 4 * pages), "ns/page", 0);
        rounds.compare("alternatives", name, inline, "C, no userfaultfd, zeros",
                () -> Programs.faultsInC(program, "plain", Memory.ANONYMOUS, 1, 1, pages), "ns/page", 0);
    }

    /** What a second thread brings, in Java, in C, and to first touches of ordinary memory, which are the kernel's alone. */
    private void secondThread(int around) throws Exception {
        secondThread(name(Engine.INLINE, Memory.ANONYMOUS, around, 2), around,
                (threads, pages) -> PagedMemory.run(Engine.INLINE, Memory.ANONYMOUS, around, threads, pages));
        secondThreadInC("inline", "C, inline", around);
        if (around == 1) {
            secondThreadInC("plain", "C, no userfaultfd, zeros", around);
        }
    }

    private void secondThreadInC(String engine, String name, int around) throws Exception {
        secondThread(name + (around > 1 ? ", " + around + " pages a fault" : "") + ", 2 threads", around,
                (threads, pages) -> Programs.faultsInC(program, engine, Memory.ANONYMOUS, around, threads, pages));
    }

    private void secondThread(String name, int around, Touch touch) throws Exception {
        int pages = pages(Engine.INLINE, Memory.ANONYMOUS, around);
        rounds.compare("threads", name, () -> 1e6 / touch.nanos(2, pages), "1 thread", () -> 1e6 / touch.nanos(1, pages), "pages/ms",
                0);
    }

    /** Touches so many pages by so many threads. */
    @FunctionalInterface
    private interface Touch {
        double nanos(int threads, int pages) throws Exception;
    }

    private Rounds.Measurement rate(Reading.Way way, Reading.Use use, long[] result, long bytes) {
        return () -> bytes * 1e3 / Reading.time(file, way, use, result);
    }

    private void rate(String section, String name, Reading.Way way, String other, Reading.Way others, Reading.Use use, double x)
            throws Exception {
        long[] mine = new long[1];
        long[] theirs = new long[1];
        long bytes = java.nio.file.Files.size(file);
        fileRounds.compare(section, name, rate(way, use, mine, bytes), other, rate(others, use, theirs, bytes), "MB/s", x);
        if (mine[0] != theirs[0]) {
            throw new AssertionError(name + " and " + other + " did not read the same");
        }
    }

    private void throughput() throws Exception {
        String direct = "FileChannel.read, direct buffer";
        for (long around : scale.full ? new long[] {4, 16, 64, 256, 1024} : new long[] {4, 64, 256, 1024}) {
            rate("sequential", "lazily, " + around + " KiB a fault", Reading.lazily(around * KIB), direct, Reading::direct,
                    Reading::all, around);
        }
        rate("sequential", "lazily, own choice", Reading.lazily(0), direct, Reading::direct, Reading::all, 0);
        rate("sequential", "FileChannel.map", Reading::map, direct, Reading::direct, Reading::all, 0);
        rate("sequential", "FileChannel.read, byte array", Reading::heap, direct, Reading::direct, Reading::all, 0);
        rate("sequential", "FileChannel.read, region", Reading::region, direct, Reading::direct, Reading::all, 0);
        for (int step : new int[] {1, 100}) {
            int[] offsets = Reading.shuffled(file, PageSize.system().bytes(), step);
            Reading.Use use = bytes -> Reading.some(bytes, offsets);
            String part = step == 1 ? "each page" : "1 page of " + step;
            milliseconds("random", "lazily, " + part, Reading.lazily(0), direct, Reading::direct, use);
            milliseconds("random", "lazily, " + part, Reading.lazily(0), "FileChannel.map", Reading::map, use);
        }
        Reading.Use first = bytes -> bytes.get(0);
        milliseconds("first byte", "lazily", Reading.lazily(0), direct, Reading::direct, first);
        milliseconds("first byte", "lazily", Reading.lazily(0), "FileChannel.map", Reading::map, first);
    }

    private void milliseconds(String section, String name, Reading.Way way, String other, Reading.Way others, Reading.Use use)
            throws Exception {
        long[] mine = new long[1];
        long[] theirs = new long[1];
        fileRounds.compare(section, name, () -> Reading.time(file, way, use, mine) / 1e6, other,
                () -> Reading.time(file, others, use, theirs) / 1e6, "ms", 0);
        if (mine[0] != theirs[0]) {
            throw new AssertionError(name + " and " + other + " did not read the same");
        }
    }

    private void otherProcesses() throws Exception {
        rounds.measure("start", "first use in a fresh JVM", () -> Programs.java(FirstUse.class), "ms");
        Rounds once = new Rounds(1);
        for (String each : new String[] {"lazily 1", "lazily 100", "map 1", "map 100", "direct 100", "heap 100"}) {
            String[] wayAndStep = each.split(" ");
            for (String kind : new String[] {"RssAnon", "RssFile"}) {
                once.measure("resident", each + " " + kind,
                        () -> Programs.java(Reading.class, file.toString(), wayAndStep[0], wayAndStep[1], kind), "MiB");
            }
        }
        rounds.singles().addAll(once.singles());
    }

    private void warmUp(boolean hugePages) throws Exception {
        for (Engine engine : Engine.values()) {
            for (int i = 0; i < 5; i++) {
                PagedMemory.run(engine, Memory.ANONYMOUS, 1, i % 2 + 1, pages(engine, Memory.ANONYMOUS, 1));
            }
        }
        if (hugePages) {
            PagedMemory.run(Engine.INLINE, Memory.HUGE, 1, 1, HUGE_PAGES);
        }
        for (Reading.Way way : List.<Reading.Way>of(Reading.lazily(0), Reading::map, Reading::direct, Reading::heap)) {
            Reading.time(file, way, Reading::all, new long[1]);
        }
    }

    /**
     * Runs all.
     *
     * @param arguments tiny, quick or full; the C program; a file to read; the directory for the results; the command that runs it
     */
    public static void main(String[] arguments) throws Exception {
        Scale scale = Scale.valueOf(arguments[0].toUpperCase(java.util.Locale.ROOT));
        Machine machine = Machine.here();
        System.out.println(machine);
        Path directory = Path.of(arguments[3]);
        Bench bench = new Bench(scale, Path.of(arguments[1]), Path.of(arguments[2]));
        String noHugePages = HugePages.need(JmhPart.HUGE_PAGES);
        if (!noHugePages.isEmpty()) {
            bench.leftOut.add("huge pages: " + noHugePages);
            System.out.println("without huge pages: " + noHugePages);
        }
        new JmhPart(scale, directory, noHugePages.isEmpty()).run();
        bench.warmUp(noHugePages.isEmpty());
        if (scale.full) {
            bench.allFaults(noHugePages.isEmpty());
        } else {
            bench.quickFaults(noHugePages.isEmpty());
        }
        bench.alternatives();
        bench.secondThread(1);
        bench.secondThread(16);
        bench.throughput();
        bench.otherProcesses();
        bench.rounds.comparisons().addAll(bench.fileRounds.comparisons());
        new Figures(machine, arguments[4], bench.rounds.comparisons(), bench.rounds.singles(), bench.leftOut)
                .write(directory.resolve("figures.json"));
    }
}
