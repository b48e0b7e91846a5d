// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Resolves the faults of other processes with pages that a {@link PageLoader} makes, from Java threads of this one. Each
 * process has its own threads: a slow loader, a failure or a death holds up nobody else.
 *
 * <pre>{@code
 * try (RemotePager pager = RemotePager.of(loader).workers(8).start()) {
 *     ServedProcess process = pager.serve(uffd, socket, mappings);
 *     process.awaitEnd(Duration.ofHours(1));
 * }
 * }</pre>
 *
 * <p><b>Not for the faults of this JVM</b>: a thread that faults in Java code holds up the next safepoint, and that stops the
 * loader. {@link PagerProcess} does it in a JVM of its own.
 *
 * <p>All methods can be called from any thread.
 */
public final class RemotePager implements AutoCloseable {
    final RemotePagerBuilder options;
    private final Set<ServedProcess> served = ConcurrentHashMap.newKeySet();
    private boolean closed;

    RemotePager(RemotePagerBuilder options) {
        this.options = options;
    }

    /**
     * Describes a pager; {@link RemotePagerBuilder#start} makes it.
     *
     * @param loader makes the pages of all processes
     * @return a builder
     */
    public static RemotePagerBuilder of(PageLoader loader) {
        return new RemotePagerBuilder(loader);
    }

    /**
     * Serves the process on the other side of a socket, from now on until it ends.
     *
     * @param uffd of that process, with its ranges registered for missing pages; belongs to the result from now on, also when
     *     this throws. It becomes non-blocking, also for its other owners
     * @param peer a socket that the process itself has connected; it can be closed afterwards
     * @param mappings what belongs where; they do not overlap
     * @return the process as it is served
     * @throws UffdException if the process cannot be watched; its missing pages are what the {@link LoadFailurePolicy} says then, unless
     *     it has ended
     * @throws IOException if the socket or the descriptor is closed
     */
    public ServedProcess serve(Uffd uffd, UffdSocket peer, List<RemoteMapping> mappings) throws IOException {
        PeerCredentials who;
        int pidfd;
        try {
            who = peer.peer();
            refuseThisProcess(who.pid());
            pidfd = peer.peerPidfd();
        } catch (IOException | RuntimeException e) {
            refuse(uffd, mappings, e);
            throw e;
        }
        return serve(uffd, pidfd, "process " + who.pid(), mappings);
    }

    /**
     * Serves a process by its number, from now on until it ends.
     *
     * @param uffd of that process, with its ranges registered for missing pages; belongs to the result from now on, also when
     *     this throws. It becomes non-blocking, also for its other owners
     * @param pid the process, which must not end before the return: its number could be another's then
     * @param mappings what belongs where; they do not overlap
     * @return the process as it is served
     * @throws UffdException ESRCH: there is no such process; else it cannot be watched, and its missing pages are what the
     *     {@link LoadFailurePolicy} says
     * @throws IOException if the descriptor is closed
     */
    public ServedProcess serve(Uffd uffd, long pid, List<RemoteMapping> mappings) throws IOException {
        int pidfd;
        try {
            refuseThisProcess(pid);
            pidfd = Native.pidfdOpen(pid);
            if (pidfd < 0) {
                throw new UffdException("serve", -pidfd, "process "
                        + pid, "it has ended, or the kernel has no pidfd_open (5.3)");
            }
        } catch (IOException | RuntimeException e) {
            refuse(uffd, mappings, e);
            throw e;
        }
        return serve(uffd, pidfd, "process " + pid, mappings);
    }

    /** A process that cannot be watched may be there all the same: its missing pages must not become zeros. */
    private void refuse(Uffd uffd, List<RemoteMapping> mappings, Exception why) {
        if (why instanceof IllegalArgumentException || why instanceof UffdException e && e.errno() == Abi.ESRCH) {
            uffd.close();
            return;
        }
        try {
            new ServedProcess(this, uffd, -1, "a process that cannot be watched", states(mappings)).refuse();
        } catch (IOException | RuntimeException e) {
            why.addSuppressed(e);
        }
    }

    private static List<PageStates> states(List<RemoteMapping> mappings) {
        return mappings.stream().map(PageStates::new).toList();
    }

    private static void refuseThisProcess(long pid) {
        if (pid == ProcessHandle.current().pid()) {
            throw new IllegalArgumentException("serve: these are the faults of this very JVM, and a garbage collection between"
                    + " a fault and its page would hang it for good; PagerProcess serves them from another");
        }
    }

    /**
     * Serves a descriptor; without a pidfd (-1) the end of its process is noticed later. Takes over both, also when it throws.
     */
    ServedProcess serve(Uffd uffd, int pidfd, String name, List<RemoteMapping> mappings) throws IOException {
        return add(new ServedProcess(this, uffd, pidfd, name, states(mappings)));
    }

    /** Starts it, unless the pager is closed. */
    ServedProcess add(ServedProcess process) throws IOException {
        try {
            synchronized (this) {
                if (closed) {
                    throw new IllegalStateException("this pager is closed");
                }
                served.add(process);
                process.start();
                return process;
            }
        } catch (IOException | IllegalStateException e) {
            served.remove(process);
            process.refuse();
            throw e;
        }
    }

    void ended(ServedProcess process) {
        served.remove(process);
    }

    /** {@return what is being served now} */
    public Set<ServedProcess> served() {
        return Set.copyOf(served);
    }

    /**
     * Ends the service of all processes, {@link ServedProcess#close}; a second close does nothing.
     */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
        }
        served.forEach(ServedProcess::close);
    }
}
