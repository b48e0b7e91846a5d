// SPDX-License-Identifier: Apache-2.0
// A compressed index is searched as if it lay in memory: only the frames that the search touches are decompressed.
//
//   javac -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' -d target/examples examples/10-compressed-index.java && java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*:target/examples' CompressedIndex
//
// prints
//
//   key 7777777 is at record 2592592
//   key 7777778 is at no record
//   less than a hundredth of the index was decompressed: true

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PageLoaders;
import io.github.userfaultfd.remote.PagerProcess;
import io.github.userfaultfd.remote.ZstdFile;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

class CompressedIndex {
    private static final int RECORDS = 8_000_000;

    /** The file that its argument names, in the JVM that makes the pages. */
    static final class Compressed implements PageLoader {
        private final PageLoader file;

        Compressed(String[] arguments) throws IOException {
            file = PageLoaders.zstd(Path.of(arguments[0]));
        }

        @Override
        public void load(long offset, ByteBuffer page) throws IOException {
            file.load(offset, page);
        }

        @Override
        public int runBytes() {
            return file.runBytes();
        }

        @Override
        public long size() {
            return file.size();
        }
    }

    private static Path write(Path directory) throws IOException {
        Path plain = directory.resolve("index");
        try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(plain), 1 << 20))) {
            for (int i = 0; i < RECORDS; i++) {
                out.writeLong(3L * i + 1);
            }
        }
        Path compressed = directory.resolve("index.zst");
        ZstdFile.compress(plain, compressed);
        Files.delete(plain);
        return compressed;
    }

    private static String search(ByteBuffer index, long key) {
        int low = 0;
        for (int high = RECORDS; low < high;) {
            int middle = (low + high) >>> 1;
            if (index.getLong(middle * Long.BYTES) < key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low < RECORDS && index.getLong(low * Long.BYTES) == key ? "record " + low : "no record";
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Files.createTempDirectory("index");
        Path compressed = write(directory);
        try (MemoryRegion region = MemoryRegion.anonymous((long) RECORDS * Long.BYTES);
                PagerProcess pager = PagerProcess.start(region, Compressed.class, compressed.toString())) {
            ByteBuffer index = region.asByteBuffer(0, RECORDS * Long.BYTES).order(ByteOrder.BIG_ENDIAN);
            for (long key : new long[] {7_777_777, 7_777_778}) {
                System.out.println("key " + key + " is at " + search(index, key));
            }
            long bytes = region.residentPages(0, region.size()).cardinality() * region.pageSize();
            System.out.println("less than a hundredth of the index was decompressed: " + (bytes < region.size() / 100));
            if (pager.pid().isEmpty()) {
                throw new IOException("the child ended");
            }
        } finally {
            Files.delete(compressed);
            Files.delete(directory);
        }
    }
}
