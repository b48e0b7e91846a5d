// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.ZstdCompressCtx;
import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Trees;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import net.jpountz.lz4.LZ4FrameOutputStream;
import net.jpountz.lz4.LZ4FrameOutputStream.FLG.Bits;
import net.jpountz.xxhash.XXHashFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Compressed files, made by this library and by others: the right bytes, or an exception that tells where the file is broken. */
@Timeout(600)
class CompressedLoadersTest {
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final int FRAME = 16 * 1024;
    private static final int SIZE = 21 * FRAME + 777;
    private static final int EDGE = 100;

    @TempDir
    private Path directory;
    private final byte[] content = content(SIZE);

    /** Zeros, noise, and what can be compressed. */
    private static byte[] content(int size) {
        byte[] bytes = new byte[size];
        Random random = new Random(7);
        for (int at = 0; at < size; at++) {
            bytes[at] = (byte) (at / 5000 % 3 == 0 ? 0 : at / 5000 % 3 == 1 ? random.nextInt() : random.nextInt(4));
        }
        return bytes;
    }

    private Path write(String name, byte[] bytes) throws IOException {
        return Files.write(directory.resolve(name), bytes);
    }

    private static byte[] load(PageLoader loader, long offset, int length) throws IOException {
        ByteBuffer page = ByteBuffer.allocateDirect(length);
        loader.load(offset, page);
        assertEquals(length, page.position());
        byte[] found = new byte[length];
        page.flip().get(found);
        return found;
    }

    /** Behind the end there are zeros. */
    private void assertLoads(PageLoader loader, int offset, int length) throws IOException {
        assertArrayEquals(Arrays.copyOfRange(Arrays.copyOf(content, SIZE + (1 << 20)), offset, offset + length),
                load(loader, offset, length), () -> length + " at " + offset);
    }

    private void assertLoadsAll(PageLoader loader) throws IOException {
        assertEquals(SIZE, loader.size());
        for (int offset = 0; offset < SIZE; offset += 4096) {
            assertLoads(loader, offset, 4096);
        }
        Random random = new Random(8);
        for (int i = 0; i < 100; i++) {
            assertLoads(loader, random.nextInt(SIZE + 5000), 1 + random.nextInt(3 * FRAME));
        }
        assertLoads(loader, 0, loader.runBytes());
    }

    private Path zstd(int level) throws IOException {
        Path compressed = directory.resolve("memory.zst");
        ZstdFile.compress(write("memory", content), compressed, level, FRAME);
        return compressed;
    }

    @Test
    void zstdOfThisLibrary() throws Exception {
        for (int level : new int[] {-5, 1, 19}) {
            PageLoaders.Closeable loader = PageLoaders.zstd(zstd(level));
            assertLoadsAll(loader);
            List<CompletableFuture<Void>> threads = java.util.stream.IntStream.range(0, 4).mapToObj(seed ->
                    CompletableFuture.runAsync(() -> {
                        Random random = new Random(seed);
                        for (int i = 0; i < 200; i++) {
                            try {
                                assertLoads(loader, random.nextInt(SIZE), 4096);
                            } catch (IOException e) {
                                throw new java.io.UncheckedIOException(e);
                            }
                        }
                    })).toList();
            threads.forEach(CompletableFuture::join);
            loader.close();
            loader.close();
            assertThrows(ClosedChannelException.class, () -> loader.load(0, ByteBuffer.allocateDirect(4096)));
        }
        assertEquals(List.of("memory", "memory.zst"), Trees.names(directory));
        write("memory", new byte[0]);
        ZstdFile.compress(directory.resolve("memory"), directory.resolve("memory.zst"));
        try (PageLoaders.Closeable empty = PageLoaders.zstd(directory.resolve("memory.zst"))) {
            assertEquals(0, empty.size());
            assertArrayEquals(new byte[4096], load(empty, 0, 4096));
        }
        assertThrows(IllegalArgumentException.class, () -> ZstdFile.compress(directory, directory, 1, 5000));
        assertThrows(IllegalArgumentException.class, () -> ZstdFile.compress(directory, directory, 99, 8192));
        assertThrows(IOException.class, () -> ZstdFile.compress(directory.resolve("none"), directory.resolve("x")));
        assertThrows(IOException.class, () -> ZstdFile.compress(directory.resolve("memory"), Files.createDirectory(directory.resolve("x"))));
        assertFalse(Files.exists(directory.resolve("x.part")));
    }

    @Test
    void theCommandOfZstdReadsIt() throws Exception {
        Needs.command("zstd");
        ChildJvm.run(DEADLINE, List.of("zstd", "-d", "-q", zstd(3).toString(), "-o", directory.resolve("back").toString()))
                .assertExit(0);
        assertArrayEquals(content, Files.readAllBytes(directory.resolve("back")));
    }

    /** As the C library's contrib/seekable_format and others write it. */
    private byte[] zstdOfOthers(boolean frameChecksums, boolean tableChecksums) {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        ByteBuffer table = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
        int frames = 0;
        try (ZstdCompressCtx context = new ZstdCompressCtx()) {
            context.setChecksum(frameChecksums);
            // Of several lengths, and some without content: a frame that is skipped.
            for (int at = 0; at < SIZE; frames++) {
                int length = frames % 5 == 2 ? 0 : Math.min(3000 + 1000 * (frames % 7), SIZE - at);
                byte[] part = Arrays.copyOfRange(content, at, at + length);
                byte[] frame = length == 0 ? new byte[] {0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 9, 9, 9, 9} : context.compress(part);
                file.writeBytes(frame);
                table.putInt(frame.length).putInt(length);
                if (tableChecksums) {
                    table.putInt((int) XXHashFactory.safeInstance().hash64().hash(part, 0, length, 0));
                }
                at += length;
            }
        }
        table.putInt(frames).put((byte) (tableChecksums ? 0x80 : 0)).putInt(0x8F92EAB1).flip();
        ByteBuffer header = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putInt(0x184D2A5E).putInt(table.limit());
        file.writeBytes(header.array());
        file.writeBytes(Arrays.copyOf(table.array(), table.limit()));
        return file.toByteArray();
    }

    @Test
    void zstdOfOthers() throws Exception {
        for (boolean inFrame : new boolean[] {true, false}) {
            for (boolean inTable : new boolean[] {true, false}) {
                try (PageLoaders.Closeable loader = PageLoaders.zstd(write("others.zst", zstdOfOthers(inFrame, inTable)))) {
                    assertLoadsAll(loader);
                }
            }
        }
        byte[] bytes = zstdOfOthers(true, true);
        PageLoader elsewhere = new PageLoader() {
            @Override
            public void load(long offset, ByteBuffer page) {
                page.put(bytes, (int) offset, page.remaining());
            }

            @Override
            public long size() {
                return bytes.length;
            }
        };
        try (PageLoaders.Closeable loader = PageLoaders.zstd(elsewhere)) {
            assertLoadsAll(loader);
        }
    }

    @FunctionalInterface
    private interface Opening {
        PageLoaders.Closeable open(Path file) throws IOException;
    }

    /** Whatever byte is another: never a wrong byte of content, and a message that names the file. Inside of frames a sample. */
    private void assertEveryFlipIsSeen(byte[] good, byte[] content, Opening opening) throws IOException {
        int broken = 0;
        int tried = 0;
        for (int at = 0; at < good.length; at += at < EDGE || at > good.length - EDGE ? 1 : 11, tried++) {
            byte[] bad = good.clone();
            bad[at] ^= (byte) (1 << at % 8);
            Path file = write("bad", bad);
            try (PageLoaders.Closeable loader = opening.open(file)) {
                int offset = at;
                assertArrayEquals(content, load(loader, 0, content.length), () -> "byte " + offset);
                assertEquals(content.length, loader.size());
            } catch (IOException e) {
                broken++;
                assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
            }
        }
        // A few bits mean nothing: those of the table's descriptor, and the content of frames that are skipped.
        assertTrue(broken > tried * 95 / 100, broken + " of " + tried);
    }

    private void assertEveryCutIsSeen(byte[] good, Opening opening) throws IOException {
        for (int length = 0; length < good.length; length++) {
            Path file = write("bad", Arrays.copyOf(good, length));
            IOException e = assertThrows(IOException.class, () -> opening.open(file).close());
            assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
        }
        Path longer = write("bad", Arrays.copyOf(good, good.length + 1));
        assertThrows(IOException.class, () -> opening.open(longer).close());
    }

    @Test
    void brokenZstdIsNeverUsed() throws Exception {
        byte[] little = Arrays.copyOfRange(content, 4900, 4900 + 9000);
        Path file = directory.resolve("little.zst");
        ZstdFile.compress(write("little", little), file, 3, 4096);
        byte[] good = Files.readAllBytes(file);
        assertEveryFlipIsSeen(good, little, PageLoaders::zstd);
        assertEveryCutIsSeen(Arrays.copyOfRange(good, good.length - 500, good.length), PageLoaders::zstd);
        byte[] bad = good.clone();
        bad[5000] ^= 1;
        try (PageLoaders.Closeable loader = PageLoaders.zstd(write("bad", bad))) {
            assertArrayEquals(Arrays.copyOf(little, 4096), load(loader, 0, 4096));
            String message = assertThrows(IOException.class, () -> load(loader, 5000, 10)).getMessage();
            assertTrue(message.contains("content from offset 4096 on, is broken: "), message);
        }
        // Only the table has checksums.
        byte[] others = zstdOfOthers(false, true);
        others[others.length / 2] ^= 4;
        try (PageLoaders.Closeable loader = PageLoaders.zstd(write("bad", others))) {
            String message = assertThrows(IOException.class, () -> load(loader, 0, SIZE)).getMessage();
            assertTrue(message.contains("is broken: its checksum is not that of the seek table"), message);
        }
        String message = assertThrows(IOException.class, () -> PageLoaders.zstd(write("bad", content))).getMessage();
        assertTrue(message.contains("not in zstd's seekable format") && message.contains("compress"), message);
    }

    private byte[] lz4(byte[] from, Bits... more) throws IOException {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        Bits[] bits = Arrays.copyOf(more, more.length + 1);
        bits[more.length] = Bits.BLOCK_INDEPENDENCE;
        boolean sized = List.of(more).contains(Bits.CONTENT_SIZE);
        try (OutputStream out = new LZ4FrameOutputStream(file, LZ4FrameOutputStream.BLOCKSIZE.SIZE_64KB, sized ? from.length : -1L,
                bits)) {
            out.write(from);
        }
        return file.toByteArray();
    }

    @Test
    void lz4() throws Exception {
        for (Bits[] each : new Bits[][] {{}, {Bits.BLOCK_CHECKSUM}, {Bits.CONTENT_SIZE}, {Bits.CONTENT_CHECKSUM},
            {Bits.BLOCK_CHECKSUM, Bits.CONTENT_SIZE, Bits.CONTENT_CHECKSUM}}) {
            try (PageLoaders.Closeable loader = PageLoaders.lz4(write("memory.lz4", lz4(content, each)))) {
                assertLoadsAll(loader);
            }
        }
        try (PageLoaders.Closeable empty = PageLoaders.lz4(write("memory.lz4", lz4(new byte[0])))) {
            assertEquals(0, empty.size());
        }
    }

    /** As a program makes them that flushes what it has; the last block is a full one, or shorter than what is missing before it. */
    @Test
    void lz4BlocksMayBeShortAnywhere() throws Exception {
        for (boolean sized : new boolean[] {false, true}) {
            for (int[] lengths : new int[][] {{65536, 32768, 65536, SIZE}, {1, 65536, 65536}, {65536, 65535, 1}, {SIZE, 100}}) {
                ByteArrayOutputStream file = new ByteArrayOutputStream();
                Bits[] bits = sized ? new Bits[] {Bits.BLOCK_INDEPENDENCE, Bits.CONTENT_SIZE} : new Bits[] {Bits.BLOCK_INDEPENDENCE};
                try (OutputStream out = new LZ4FrameOutputStream(file, LZ4FrameOutputStream.BLOCKSIZE.SIZE_64KB,
                        sized ? SIZE : -1L, bits)) {
                    int at = 0;
                    for (int each : lengths) {
                        int length = Math.min(each, SIZE - at);
                        out.write(content, at, length);
                        out.flush();
                        at += length;
                    }
                    out.write(content, at, SIZE - at);
                }
                try (PageLoaders.Closeable loader = PageLoaders.lz4(write("memory.lz4", file.toByteArray()))) {
                    assertLoadsAll(loader);
                }
            }
        }
        byte[] lies = lz4(content, Bits.CONTENT_SIZE);
        ByteBuffer header = ByteBuffer.wrap(lies).order(ByteOrder.LITTLE_ENDIAN).putLong(6, SIZE + 1);
        header.put(14, (byte) (XXHashFactory.safeInstance().hash32().hash(lies, 4, 10, 0) >> 8));
        String message = assertThrows(IOException.class, () -> PageLoaders.lz4(write("memory.lz4", lies))).getMessage();
        assertTrue(message.contains("its header tells of " + (SIZE + 1) + " bytes, and its 6 blocks have " + SIZE), message);
    }

    @Test
    void lz4OfTheCommand() throws Exception {
        Needs.command("lz4");
        Path file = write("memory", content);
        for (String options : new String[] {"-B4", "-B4 -BX", "-B5 --content-size -9", "", "-B4 --no-frame-crc"}) {
            Path compressed = directory.resolve("memory.lz4");
            ChildJvm.run(DEADLINE, List.of("sh", "-c", "lz4 -q -f " + options + " " + file + " " + compressed)).assertExit(0);
            try (PageLoaders.Closeable loader = PageLoaders.lz4(compressed)) {
                assertLoadsAll(loader);
            }
        }
        Path linked = directory.resolve("linked.lz4");
        ChildJvm.run(DEADLINE, List.of("sh", "-c", "lz4 -q -B4 -BD " + file + " " + linked)).assertExit(0);
        String message = assertThrows(IOException.class, () -> PageLoaders.lz4(linked)).getMessage();
        assertTrue(message.contains("lz4 -BI"), message);
    }

    @Test
    void brokenLz4IsNeverUsed() throws Exception {
        byte[] little = Arrays.copyOfRange(content, 4900, 4900 + 6000);
        Opening opening = PageLoaders::lz4;
        assertEveryFlipIsSeen(lz4(little, Bits.BLOCK_CHECKSUM, Bits.CONTENT_SIZE), little, opening);
        assertEveryCutIsSeen(lz4(Arrays.copyOf(little, 300), Bits.BLOCK_CHECKSUM), opening);
        for (Bits[] each : new Bits[][] {{Bits.BLOCK_CHECKSUM, Bits.CONTENT_SIZE}, {Bits.BLOCK_CHECKSUM}}) {
            byte[] bad = lz4(content, each);
            bad[SIZE / 3] ^= 1;
            Path file = write("bad", bad);
            boolean sized = each.length == 2;
            // Where content is cannot be told without the lengths of all blocks before it.
            IOException e = assertThrows(IOException.class, () -> {
                try (PageLoaders.Closeable loader = PageLoaders.lz4(file)) {
                    assertTrue(sized);
                    assertLoads(loader, 0, 4096);
                    load(loader, 0, SIZE);
                }
            });
            assertTrue(e.getMessage().startsWith(file + ": the frame at offset ")
                    && e.getMessage().contains("is broken: its checksum is another"), e.getMessage());
        }
    }

    /** Opens what its argument names, and prints why it cannot. Uses nothing of this class, which needs what is missing. */
    static final class Opens {
        public static void main(String[] arguments) throws Exception {
            try {
                switch (arguments[0]) {
                    case "compress" -> ZstdFile.compress(Path.of(arguments[1]), Path.of(arguments[1] + ".zst"));
                    case "lz4" -> PageLoaders.lz4(Path.of(arguments[1]));
                    case "firecracker" -> FirecrackerHandler.listen(Path.of(arguments[1] + ".socket"),
                            RemotePager.of(PageLoaders.file(Path.of(arguments[1]))).start(), new FirecrackerListener() { });
                    case "redis" -> PageLoaders.redis(URI.create("redis://127.0.0.1:1"), "memory", Duration.ofSeconds(9));
                    default -> PageLoaders.zstd(Path.of(arguments[1]));
                }
            } catch (IOException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    @Test
    void aLibraryThatIsMissingIsNamed() throws Exception {
        Path file = write("memory", content);
        String[][] all = {{"zstd", "com.github.luben:zstd-jni"}, {"compress", "com.github.luben:zstd-jni"},
            {"lz4", "at.yawk.lz4:lz4-java"}, {"redis", "redis.clients:jedis"},
            {"firecracker", "com.fasterxml.jackson.core:jackson-core"}};
        for (String[] each : all) {
            ChildJvm.Result result = new ChildJvm().classPath(ChildJvm.classes() + ":" + ChildJvm.testClasses())
                    .run(DEADLINE, Opens.class, each[0], file.toString()).assertExit(0);
            assertTrue(result.output().endsWith(": " + each[1] + " is needed on the class path or module path\n"), result.output());
        }
    }
}
