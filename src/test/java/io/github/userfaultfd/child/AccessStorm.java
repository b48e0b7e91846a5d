// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.conformance.MappingStorm;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import io.github.userfaultfd.paging.PagerBuilder;
import io.github.userfaultfd.support.Crew;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * A program for child JVMs: readers go over paged regions in each way that Java has, while the collector runs in a loop, garbage
 * is made, pages are discarded and prefetched, mappings are split and collapsed, and regions are opened and closed. Each word of
 * the source tells its own place.
 */
final class AccessStorm {
    static final long PAGE = PageSize.system().bytes();
    private static final int WORDS = (int) (PAGE / Long.BYTES);
    private static final int PAGES = 1536; // an aligned huge page fits in anywhere
    private static final int READERS = 4;
    private static final long NANOS_FOR_EACH = 120_000_000;
    private static final VarHandle LONGS = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
    /** sun.misc.Unsafe.copyMemory by a handle, because javac warns of the class itself and no option silences that. */
    private static final MethodHandle COPY_MEMORY = unsafeCopyMemory();
    private static final long BYTE_ARRAY_BASE = 16;

    private static final AtomicLong COLLAPSED = new AtomicLong();

    /** One way to read, and perhaps write, a page; it returns whether all it saw was right. */
    interface Access {
        boolean check(MemoryRegion region, ByteBuffer buffer, int page, SplittableRandom random);
    }

    private AccessStorm() {}

    static long expected(long word) {
        return word * 0x9E3779B97F4A7C15L + 1;
    }

    private static MethodHandle unsafeCopyMemory() {
        try {
            Class<?> type = Class.forName("sun.misc.Unsafe");
            Field field = type.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            if (type.getField("ARRAY_BYTE_BASE_OFFSET").getInt(null) != BYTE_ARRAY_BASE) {
                throw new AssertionError("arrays begin elsewhere in this JVM");
            }
            return MethodHandles.lookup().findVirtual(type, "copyMemory", MethodType.methodType(void.class, Object.class,
                    long.class, Object.class, long.class, long.class)).bindTo(field.get(null));
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    private static int position(int page, SplittableRandom random) {
        return page * (int) PAGE + random.nextInt(WORDS) * Long.BYTES;
    }

    private static boolean allRight(byte[] bytes, int page) {
        ByteBuffer seen = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
        for (int i = 0; i < WORDS; i++) {
            if (seen.getLong(i * Long.BYTES) != expected((long) page * WORDS + i)) {
                return false;
            }
        }
        return true;
    }

    static Map<String, Access> accesses() throws Exception {
        Map<String, Access> all = new LinkedHashMap<>();
        all.put("get", (region, buffer, page, random) -> {
            int at = position(page, random);
            return buffer.getLong(at) == expected(at / Long.BYTES);
        });
        all.put("put", (region, buffer, page, random) -> {
            int at = position(page, random);
            buffer.putLong(at, expected(at / Long.BYTES));
            int other = position(page, random);
            return buffer.getLong(other) == expected(other / Long.BYTES);
        });
        all.put("bulk get", (region, buffer, page, random) -> {
            byte[] bytes = new byte[(int) PAGE];
            buffer.get(page * (int) PAGE, bytes);
            return allRight(bytes, page);
        });
        all.put("bulk put", (region, buffer, page, random) -> {
            byte[] bytes = new byte[(int) PAGE / 2];
            ByteBuffer words = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
            for (int i = 0; i < WORDS / 2; i++) {
                words.putLong(i * Long.BYTES, expected((long) page * WORDS + i));
            }
            buffer.put(page * (int) PAGE, bytes);
            byte[] seen = new byte[(int) PAGE];
            buffer.get(page * (int) PAGE, seen);
            return allRight(seen, page);
        });
        all.put("VarHandle", (region, buffer, page, random) -> {
            int at = position(page, random);
            long value = expected(at / Long.BYTES);
            return LONGS.compareAndSet(buffer, at, value, value) && (long) LONGS.getVolatile(buffer, at) == value;
        });
        all.put("Unsafe.copyMemory", (region, buffer, page, random) -> {
            byte[] bytes = new byte[(int) PAGE];
            try {
                COPY_MEMORY.invokeExact((Object) null, region.address() + page * PAGE, (Object) bytes, BYTE_ARRAY_BASE, PAGE);
            } catch (Throwable e) {
                throw new AssertionError(e);
            }
            return allRight(bytes, page);
        });
        all.put("vectorised loop", (region, buffer, page, random) -> {
            int start = page * (int) PAGE;
            long sum = 0;
            long right = 0;
            for (int i = 0; i < WORDS; i++) {
                sum += buffer.getLong(start + i * Long.BYTES);
            }
            for (int i = 0; i < WORDS; i++) {
                right += expected((long) page * WORDS + i);
            }
            return sum == right;
        });
        all.put("mismatch", (region, buffer, page, random) -> {
            ByteBuffer mine = buffer.slice(page * (int) PAGE, (int) PAGE);
            ByteBuffer model = ByteBuffer.allocate((int) PAGE).order(ByteOrder.nativeOrder());
            for (int i = 0; i < WORDS; i++) {
                model.putLong(i * Long.BYTES, expected((long) page * WORDS + i));
            }
            return mine.mismatch(model) < 0;
        });
        if (Runtime.version().feature() >= 22) {
            all.put("MemorySegment", (Access) Class.forName("io.github.userfaultfd.child.SegmentAccess").getDeclaredConstructor()
                    .newInstance());
        }
        return all;
    }

    private static void daemon(Runnable body) {
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        thread.start();
    }

    /** Readers on one region, opened and closed for each call; the faults it took. */
    private static long storm(Access access, PagerBuilder options, MemoryRegion region, boolean virtual, AtomicLong wrong)
            throws Exception {
        ByteBuffer buffer = region.asByteBuffer(0, (int) region.size());
        long faults;
        try (Crew readers = new Crew()) {
            try (Pager pager = options.start()) {
                for (int i = 0; i < READERS; i++) {
                    SplittableRandom random = new SplittableRandom(i);
                    readers.repeat(() -> {
                        if (!access.check(region, buffer, random.nextInt(PAGES), random)) {
                            wrong.incrementAndGet();
                        }
                    }, virtual);
                }
                long end = System.nanoTime() + NANOS_FOR_EACH;
                SplittableRandom random = new SplittableRandom(7);
                MappingStorm mappings = new MappingStorm(region.address(), region.size(), PAGE);
                while (System.nanoTime() < end) {
                    mappings.once();
                    long page = random.nextInt(PAGES - 32);
                    region.discard(page * PAGE, (1 + random.nextInt(32)) * PAGE);
                    pager.prefetch((page + random.nextInt(16)) * PAGE, PAGE);
                    LockSupport.parkNanos(50_000);
                }
                readers.awaitRound();
                pager.prefetch(0, region.size());
                mappings.once(); // with every page there, so that a collapse can succeed
                faults = pager.stats().faults();
                COLLAPSED.addAndGet(mappings.collapsed());
                // Closed, which fills what is missing, while the readers go on.
            }
        }
        return faults;
    }

    public static void main(String[] arguments) throws Exception {
        FaultEngine engine = FaultEngine.valueOf(arguments[0]);
        AtomicLong wrong = new AtomicLong();
        long[] garbage = new long[1];
        daemon(() -> {
            for (;;) {
                System.gc();
                LockSupport.parkNanos(1_000_000);
            }
        });
        daemon(() -> {
            for (;;) {
                garbage[0] += new byte[1 << 16].length;
                LockSupport.parkNanos(20_000);
            }
        });
        long faults = 0;
        int round = 0;
        try (MemoryRegion source = MemoryRegion.anonymous(PAGES * PAGE)) {
            ByteBuffer words = source.asByteBuffer(0, (int) source.size());
            for (int i = 0; i < PAGES * WORDS; i++) {
                words.putLong(i * Long.BYTES, expected(i));
            }
            PageSource pages = PageSource.memory(source.address(), source.size());
            for (Map.Entry<String, Access> each : accesses().entrySet()) {
                try (MemoryRegion region = MemoryRegion.anonymous(PAGES * PAGE)) {
                    PagerBuilder options = Pager.of(region, pages).engine(engine).threads(1 + round % 2);
                    if (round % 3 > 0) {
                        options.faultAround(PAGE << round % 3 * 2);
                    }
                    long before = wrong.get();
                    long some = storm(each.getValue(), options, region, round % 2 == 1, wrong);
                    if (some == 0) {
                        throw new AssertionError(each.getKey() + ": no faults");
                    }
                    faults += some;
                    if (wrong.get() != before) {
                        System.out.println(each.getKey() + ": " + (wrong.get() - before) + " wrong");
                    }
                }
                round++;
            }
        }
        System.out.println("faults " + faults + ", huge pages collapsed " + COLLAPSED + ", wrong " + wrong);
        System.exit(wrong.get() == 0 ? 0 : 3);
    }
}
