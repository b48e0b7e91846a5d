// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import io.github.userfaultfd.remote.FirecrackerHandler;
import io.github.userfaultfd.remote.FirecrackerListener;
import io.github.userfaultfd.remote.PageLoader;
import io.github.userfaultfd.remote.PageLoaders;
import io.github.userfaultfd.remote.PeerCredentials;
import io.github.userfaultfd.remote.RemoteMapping;
import io.github.userfaultfd.remote.RemotePager;
import io.github.userfaultfd.remote.ServedProcess;
import io.github.userfaultfd.remote.ServedStats;
import io.github.userfaultfd.remote.TouchTrace;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/** Serves the faults of Firecracker microVMs until the process is ended, or until one of them has ended. */
final class Firecracker implements FirecrackerListener {
    private static final Set<String> WITH_VALUE = Set.of("--socket", "--memory", "--prefetch", "--record");
    private static final Duration HTTP_TIMEOUT = Duration.ofSeconds(10);

    private final PrintStream out;
    private final Path record;
    private final TouchTrace plan;
    private final CountDownLatch firstEnded = new CountDownLatch(1);
    private final AtomicBoolean recorded = new AtomicBoolean();
    private volatile boolean failed;

    private Firecracker(PrintStream out, Path record, TouchTrace plan) {
        this.out = out;
        this.record = record;
        this.plan = plan;
    }

    /** The command line was not understood. */
    static final class MisuseException extends Exception {
        private static final long serialVersionUID = 1L;

        MisuseException(String message) {
            super(message);
        }
    }

    /** {@return whether all went well; returns only with {@code --once}} */
    static boolean run(List<String> arguments, PrintStream out) throws IOException, MisuseException {
        Map<String, String> options = new HashMap<>();
        boolean once = false;
        for (int i = 0; i < arguments.size(); i++) {
            String each = arguments.get(i);
            if (each.equals("--once")) {
                once = true;
            } else if (!WITH_VALUE.contains(each)) {
                throw new MisuseException("firecracker has no option " + each);
            } else if (++i == arguments.size()) {
                throw new MisuseException(each + " needs a value");
            } else {
                options.put(each, arguments.get(i));
            }
        }
        if (!options.containsKey("--socket") || !options.containsKey("--memory")) {
            throw new MisuseException("firecracker needs --socket and --memory");
        }
        TouchTrace plan = options.containsKey("--prefetch") ? TouchTrace.read(Path.of(options.get("--prefetch"))) : null;
        Path record = options.containsKey("--record") ? Path.of(options.get("--record")) : null;
        PageLoader memory = memory(options.get("--memory"));
        return new Firecracker(out, record, plan).serve(Path.of(options.get("--socket")), memory, once);
    }

    /** By its name: what a file begins with could be a guest's memory, too. */
    private static PageLoader memory(String name) throws IOException {
        if (name.endsWith(".lz4")) {
            return PageLoaders.lz4(Path.of(name));
        }
        PageLoader bytes = name.startsWith("http://") || name.startsWith("https://")
                ? PageLoaders.http(URI.create(name), HTTP_TIMEOUT) : PageLoaders.file(Path.of(name));
        return name.endsWith(".zst") ? PageLoaders.zstd(bytes) : bytes;
    }

    private boolean serve(Path socket, PageLoader memory, boolean once) throws IOException {
        RemotePager pager = RemotePager.of(memory).faultAround(1 << 16).failureListener(failure -> failed = true).start();
        FirecrackerHandler handler = FirecrackerHandler.listen(socket, pager, this);
        Thread hook = new Thread(() -> close(handler));
        Runtime.getRuntime().addShutdownHook(hook);
        say("listening at " + socket + ", memory from " + memory + ", " + memory.size() + " bytes");
        try {
            firstEnded.await();
            while (!once) {
                Thread.sleep(Long.MAX_VALUE);
            }
        } catch (InterruptedException e) {
            throw new IOException("interrupted", e);
        }
        Runtime.getRuntime().removeShutdownHook(hook);
        close(handler);
        return !failed;
    }

    private void close(FirecrackerHandler handler) {
        try {
            handler.close();
        } catch (IOException e) {
            say("cannot delete the socket: " + e);
        }
    }

    private synchronized void say(String line) {
        out.println("firecracker: " + line);
        out.flush();
    }

    @Override
    public void serves(ServedProcess vm, List<RemoteMapping> mappings) {
        long bytes = mappings.stream().mapToLong(RemoteMapping::length).sum();
        say(vm.name() + ": serving " + mappings.size() + " regions, " + bytes + " bytes, pages of "
                + mappings.get(0).pageSize());
        if (plan != null) {
            vm.prefetch(plan).whenComplete((done, failure) ->
                    say(vm.name() + ": prefetch of " + plan + (failure == null ? " done" : " stopped: " + failure)));
        }
    }

    @Override
    public void refused(PeerCredentials peer, IOException why) {
        say("process " + peer.pid() + " refused: " + why.getMessage());
    }

    @Override
    public void ended(ServedProcess vm) {
        ServedStats stats = vm.stats();
        say(vm.name() + (vm.hasEnded() ? " ended: " : " not served any more: ") + stats.faults() + " faults, " + stats.pages()
                + " pages put in place, " + stats.prefetchedPages() + " of them ahead, " + stats.removedPages()
                + " given back, "
                + stats.failedPages() + " failed");
        if (record != null && recorded.compareAndSet(false, true)) {
            try {
                vm.trace().write(record);
                say(vm.name() + ": " + vm.trace() + " recorded in " + record);
            } catch (IOException e) {
                failed = true;
                say("cannot record: " + e);
            }
        }
        firstEnded.countDown();
    }
}
