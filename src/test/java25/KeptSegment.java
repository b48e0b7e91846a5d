// SPDX-License-Identifier: Apache-2.0
import io.github.userfaultfd.memory.MemoryRegion;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

/** Keeps nothing of a region but a segment of one of its buffers: the addresses stay until that is gone too. */
class KeptSegment {
    private static boolean isMapped(long address) throws Exception {
        return Files.lines(Path.of("/proc/self/maps")).anyMatch(line -> line.startsWith(Long.toHexString(address) + "-"));
    }

    private static MemorySegment segment() throws Exception {
        return MemorySegment.ofBuffer(MemoryRegion.anonymous(1 << 20).asByteBuffer(0, 1 << 20));
    }

    private static boolean isMappedAfterCollections(long address, int most) throws Exception {
        for (int i = 0; i < most && isMapped(address); i++) {
            System.gc();
            Thread.sleep(20);
        }
        return isMapped(address);
    }

    public static void main(String[] arguments) throws Exception {
        MemorySegment segment = segment();
        long address = segment.address();
        System.out.println(isMappedAfterCollections(address, 20) ? "kept " + segment.get(ValueLayout.JAVA_BYTE, 5000) : "lost");
        segment = null;
        System.out.println(isMappedAfterCollections(address, 200) ? "leaked" : "given back");
    }
}
