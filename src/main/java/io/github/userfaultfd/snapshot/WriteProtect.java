// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.UnsupportedFeaturesException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Ranges;
import io.github.userfaultfd.internal.RegionOwner;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.SystemNames;
import io.github.userfaultfd.internal.UseCount;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A region whose first writes after each protecting are resolved by the writing thread itself, in the SIGBUS handler; what
 * snapshots and, on kernels before 6.7, the tracker are made of. The caller starts it by {@link RegionOwner#startProtecting}.
 */
final class WriteProtect {
    private final RegionOwner owner;
    /** Who brings the region's pages and owns the descriptor; null if they are ordinary memory. */
    private final RegionOwner.@Nullable Service pager;
    private final @Nullable Uffd uffd;
    private final long handle;
    private boolean protectsUnpopulated;
    private final UseCount uses = new UseCount();

    WriteProtect(RegionOwner.Service service, SnapshotterBuilder options) throws IOException {
        owner = options.owner;
        owner.enter();
        Uffd open = null;
        int spill = -1;
        long result = 0;
        try {
            pager = owner.claimBeside(service);
            try {
                int fd;
                if (pager == null) {
                    open = descriptor(options);
                    fd = open.fd();
                } else {
                    fd = pager.descriptor();
                }
                spill = options.spillDirectory == null ? -1 : unnamedFile(options.spillDirectory);
                result = new Scratch(Abi.WP_LONGS)
                        .set(Abi.WP_FD, fd)
                        .set(Abi.WP_ADDRESS, owner.address())
                        .set(Abi.WP_LENGTH, owner.length())
                        .set(Abi.WP_PAGE, owner.pageSize())
                        .set(Abi.WP_AHEAD, options.openAhead)
                        .set(Abi.WP_LIMIT, options.memoryLimit)
                        .set(Abi.WP_SPILL, spill)
                        .set(Abi.WP_POPULATE, open != null && owner.kind() != Abi.MEMORY_SHARED && !protectsUnpopulated ? 1 : 0)
                        .set(Abi.WP_UNCHANGED, options.startUnchanged ? 1 : 0)
                        .set(Abi.WP_PAGER, pager == null ? 0 : pager.pager())
                        .set(Abi.WP_MEMORY, owner.memoryFd())
                        .pass(Native::wpStart);
                if (result < 0) {
                    throw refused((int) -result);
                }
            } finally {
                if (result <= 0) {
                    giveUpClaim();
                    if (open != null) {
                        open.close();
                    }
                    if (spill >= 0) {
                        Native.close(spill);
                    }
                }
            }
            uffd = open;
            handle = result;
            if (pager == null) {
                owner.freeLeftover();
            }
        } finally {
            owner.exit();
        }
    }

    private Uffd descriptor(SnapshotterBuilder options) throws UffdException {
        if (!options.leaveOutUnpopulated) {
            try {
                Uffd created = features().requireFeatures(Feature.WP_UNPOPULATED).create();
                protectsUnpopulated = true;
                return created;
            } catch (UnsupportedFeaturesException e) {
                if (!e.missing().contains(Feature.WP_UNPOPULATED)) {
                    throw e;
                } // what else is missing, the next try tells
            }
        }
        return features().create();
    }

    private UffdBuilder features() {
        UffdBuilder builder = new UffdBuilder().closeOnExec(true).nonBlocking(true)
                .requireFeatures(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        return owner.kind() == Abi.MEMORY_ANONYMOUS ? builder : builder.requireFeatures(Feature.WP_HUGETLBFS_SHMEM);
    }

    private static int unnamedFile(Path directory) throws IOException {
        Path real = directory.toRealPath();
        byte[] name = SystemNames.ended(real.toString());
        int fd = Scratch.passBuffer(ByteBuffer.allocateDirect(name.length).put(name), Native::unnamedFile);
        if (fd < 0) {
            throw new UffdException("spillTo", -fd, real.toString());
        }
        return fd;
    }

    private UffdException refused(int errno) {
        String detail = "write-protecting the region " + Ranges.text(owner.address(), owner.length());
        if (errno == Abi.EOPNOTSUPP) {
            return new UffdException("start", errno, detail,
                    "other code of this process has replaced the SIGBUS handler of this library"
                            + " (remedy: have it hand on what is not its own to the handler that it found)");
        }
        if (errno == Abi.ENOSYS) {
            return new UffdException("start", errno, detail,
                    "this kernel says that it write-protects pages, and a write to a protected page went through"
                            + " (remedy: another kernel)");
        }
        return new UffdException("start", errno, detail);
    }

    /** Saves and opens whole pages; nothing if it is closed. -errno if the kernel refuses. */
    int open(long offset, long length) {
        if (!uses.acquire()) {
            return 0;
        }
        try {
            return Native.wpOpen(handle, offset, length);
        } finally {
            uses.release();
        }
    }

    /** Has every page of a range in place, saved and open, so that a system call can write to it. */
    void prepareWrite(long offset, long length) throws IOException {
        if (length > 0) {
            long page = owner.pageSize();
            long from = offset / page * page;
            long whole = (offset + length + page - 1) / page * page - from;
            if (pager != null) {
                pager.fill(from, whole);
            }
            int failed = open(from, whole);
            if (failed < 0) {
                throw new UffdException("prepareWrite", -failed, "at offset " + offset + ", " + length + " bytes of the region "
                        + Ranges.text(owner.address(), owner.length()));
            }
        }
    }

    long handle() {
        return handle;
    }

    boolean isClosed() {
        return uses.isClosed();
    }

    /** Lifts all protection, once; no snapshot is open and no scan runs. */
    void close() {
        if (uses.close()) {
            uses.awaitIdle(() -> { });
            Native.wpStop(handle);
            if (uffd != null) {
                uffd.close();
            }
            if (pager == null) {
                owner.unclaim(() -> Native.wpFree(handle));
            } else {
                owner.leave();
                Native.wpFree(handle);
            }
        }
    }

    /** What the service before left is still left. */
    private void giveUpClaim() {
        if (pager == null) {
            owner.unclaim();
        } else {
            owner.leave();
        }
    }
}
