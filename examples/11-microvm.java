// SPDX-License-Identifier: Apache-2.0
// Both sides of a microVM's restore. The handler has the memory file; the other process stands for Firecracker: it has guest memory with
// nothing in it, and sends a userfaultfd for it, with one message that tells where it is.
//
//   java -cp 'target/userfaultfd-0.1.0.jar:target/lib/*' examples/11-microvm.java examples/11-microvm.java
//
// prints
//
//   guest: page 0 begins with 1000
//   guest: page 9 begins with 1009
//   handler: served 1 microVM, 2 faults
//   handler: record of first touches: 2

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.remote.FirecrackerHandler;
import io.github.userfaultfd.remote.FirecrackerListener;
import io.github.userfaultfd.remote.PageLoaders;
import io.github.userfaultfd.remote.RemotePager;
import io.github.userfaultfd.remote.ServedProcess;
import io.github.userfaultfd.remote.UffdSocket;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

class MicroVm {
    private static final int PAGES = 16;
    private static final int PAGE = (int) PageSize.system().bytes();

    /** The side of Firecracker. Its faults are resolved in another process, so it can touch its memory from Java. */
    private static void guest(Path socket) throws Exception {
        try (MemoryRegion memory = MemoryRegion.anonymous((long) PAGES * PAGE);
                Uffd uffd = new UffdBuilder().closeOnExec(true).nonBlocking(true).userModeOnly(true)
                        .requireFeatures(Feature.EVENT_REMOVE).create();
                UffdSocket handler = UffdSocket.connect(socket, Duration.ofSeconds(10))) {
            uffd.register(memory.address(), memory.size());
            String message = "[{\"base_host_virt_addr\":" + memory.address() + ",\"size\":" + memory.size() + ",\"offset\":0"
                    + ",\"page_size\":" + PAGE + "}]";
            handler.send(ByteBuffer.wrap(message.getBytes(StandardCharsets.UTF_8)), uffd.fd());
            for (int page : new int[] {0, 9}) {
                System.out.println("guest: page " + page + " begins with " + memory.asByteBuffer((long) page * PAGE, PAGE).getInt());
            }
        }
    }

    private static Path memoryFile(Path directory) throws Exception {
        ByteBuffer content = ByteBuffer.allocate(PAGES * PAGE).order(ByteOrder.nativeOrder());
        for (int page = 0; page < PAGES; page++) {
            content.putInt(page * PAGE, 1000 + page);
        }
        return Files.write(directory.resolve("memory"), content.array());
    }

    private static void handle(String source) throws Exception {
        Path directory = Files.createTempDirectory("microvm");
        Path socket = directory.resolve("socket");
        CompletableFuture<ServedProcess> ended = new CompletableFuture<>();
        FirecrackerListener listener = new FirecrackerListener() {
            @Override
            public void ended(ServedProcess vm) {
                ended.complete(vm);
            }
        };
        Path file = memoryFile(directory);
        try (PageLoaders.Closeable content = PageLoaders.file(file);
                RemotePager pager = RemotePager.of(content).start();
                FirecrackerHandler handler = FirecrackerHandler.listen(socket, pager, listener)) {
            String java = ProcessHandle.current().info().command().orElseThrow();
            List<String> command = new ArrayList<>(List.of(java));
            command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
            command.addAll(List.of("-cp", System.getProperty("java.class.path"), source, source, socket.toString()));
            Process vm = new ProcessBuilder(command).inheritIO().start();
            ServedProcess served = ended.get();
            System.out.println("handler: served 1 microVM, " + served.stats().faults() + " faults");
            System.out.println("handler: record of first touches: " + served.trace().size());
            if (vm.waitFor() != 0) {
                throw new IllegalStateException("the guest failed while served by " + handler);
            }
        } finally {
            Files.delete(file);
            Files.deleteIfExists(socket);
            Files.delete(directory);
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1) {
            handle(arguments[0]);
        } else {
            guest(Path.of(arguments[1]));
        }
    }
}
