// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.paging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.conformance.Ability;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.Pipe;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** System calls on missing pages: EFAULT from the kernel, and fetchBuffer as the way around it. */
@Timeout(60)
class KernelAccessTest {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final int BYTES = 64 * PAGE;

    @TempDir
    private Path directory;

    private static MemoryRegion source() throws IOException {
        MemoryRegion source = MemoryRegion.anonymous(BYTES);
        ByteBuffer bytes = source.asByteBuffer(0, BYTES);
        for (int i = 0; i < BYTES; i++) {
            bytes.put(i, (byte) (i / PAGE + 1));
        }
        return source;
    }

    private static void assertBadAddress(Executable call) {
        String message = assertThrows(IOException.class, call).getMessage();
        assertTrue(message.contains("Bad address"), message);
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void filesBothWays(FaultEngine engine) throws Exception {
        if (engine == FaultEngine.THREAD) {
            Ability.USER_MODE_ONLY.need();
        }
        try (MemoryRegion source = source(); MemoryRegion region = MemoryRegion.anonymous(BYTES);
                Pager pager = Pager.of(region, PageSource.memory(source.address(), BYTES)).engine(engine).start();
                FileChannel file = FileChannel.open(directory.resolve("file"), StandardOpenOption.CREATE, StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            assertBadAddress(() -> file.write(region.asByteBuffer(0, BYTES), 0));
            assertEquals(BYTES, file.write(region.fetchBuffer(0, BYTES), 0));
            region.discard(0, BYTES);
            assertBadAddress(() -> file.read(region.asByteBuffer(0, BYTES), 0));
            assertEquals(BYTES, file.read(region.fetchBuffer(0, BYTES), 0));
            assertEquals(64, region.asByteBuffer(BYTES - 1, 1).get(0));
            assertEquals(0, pager.stats().faults());
        }
    }

    @ParameterizedTest
    @EnumSource(FaultEngine.class)
    void socketsBothWays(FaultEngine engine) throws Exception {
        if (engine == FaultEngine.THREAD) {
            Ability.USER_MODE_ONLY.need();
        }
        try (MemoryRegion source = source(); MemoryRegion region = MemoryRegion.anonymous(BYTES);
                Pager pager = Pager.of(region, PageSource.memory(source.address(), BYTES)).engine(engine).start();
                ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
                SocketChannel client = SocketChannel.open(server.getLocalAddress()); SocketChannel peer = server.accept()) {
            assertBadAddress(() -> client.write(region.asByteBuffer(0, PAGE)));
            assertEquals(PAGE, client.write(region.fetchBuffer(0, PAGE)));
            assertBadAddress(() -> peer.read(region.asByteBuffer(8 * PAGE, PAGE)));
            // What came is still there: the kernel gave nothing away.
            ByteBuffer received = region.fetchBuffer(8 * PAGE, PAGE);
            while (received.hasRemaining()) {
                assertTrue(peer.read(received) > 0);
            }
            assertEquals(1, region.asByteBuffer(9 * PAGE - 1, 1).get(0));
            assertEquals(0, pager.stats().failed());
        }
    }

    @Test
    void kernelFaultsAreServedWhenAskedFor() throws Exception {
        Needs.root();
        try (MemoryRegion source = source(); MemoryRegion region = MemoryRegion.anonymous(BYTES);
                Pager pager = Pager.of(region, PageSource.memory(source.address(), BYTES)).userModeOnly(false).start()) {
            Pipe pipe = Pipe.open();
            assertEquals(PAGE, pipe.sink().write(region.asByteBuffer(5 * PAGE, PAGE)));
            ByteBuffer seen = ByteBuffer.allocate(PAGE);
            while (seen.hasRemaining()) {
                assertTrue(pipe.source().read(seen) > 0);
            }
            assertEquals(6, seen.get(0));
            pipe.sink().close();
            pipe.source().close();
            assertTrue(pager.stats().faults() > 0);
        }
    }
}
