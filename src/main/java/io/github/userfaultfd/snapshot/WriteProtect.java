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
import io.github.userfaultfd.internal.UseCount;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.file.Path;
import java.util.Set;

/**
 * A region whose first writes after each protecting are resolved by the writing thread itself, in the SIGBUS handler; what
 * snapshots and, on kernels before 6.7, the tracker are made of. The caller holds the region's start lock while it starts.
 */
final class WriteProtect {
    private final RegionOwner owner;
    private final Uffd uffd;
    private final long handle;
    private final UseCount uses = new UseCount();

    WriteProtect(RegionOwner.Service service, SnapshotterBuilder options) throws IOException {
        owner = options.owner;
        owner.enter();
        Uffd open = null;
        int spill = -1;
        long result = 0;
        try {
            owner.claim(service);
            try {
                boolean populates = options.leaveOutUnpopulated;
                try {
                    open = descriptor(populates).create();
                } catch (UnsupportedFeaturesException e) {
                    if (!e.missing().equals(Set.of(Feature.WP_UNPOPULATED))) {
                        throw e;
                    }
                    populates = true;
                    open = descriptor(true).create();
                }
                spill = options.spillDirectory == null ? -1 : unnamedFile(options.spillDirectory);
                result = new Scratch(Abi.WP_LONGS)
                        .set(Abi.WP_FD, open.fd())
                        .set(Abi.WP_ADDRESS, owner.address())
                        .set(Abi.WP_LENGTH, owner.length())
                        .set(Abi.WP_PAGE, owner.pageSize())
                        .set(Abi.WP_AHEAD, options.openAhead)
                        .set(Abi.WP_LIMIT, options.memoryLimit)
                        .set(Abi.WP_SPILL, spill)
                        .set(Abi.WP_POPULATE, populates && owner.kind() == Abi.MEMORY_ANONYMOUS ? 1 : 0)
                        .set(Abi.WP_UNCHANGED, options.startUnchanged ? 1 : 0)
                        .pass(Native::wpStart);
                if (result < 0) {
                    throw refused((int) -result);
                }
            } finally {
                if (result <= 0) {
                    owner.unclaim();
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
            owner.freeLeftover();
        } finally {
            owner.exit();
        }
    }

    private UffdBuilder descriptor(boolean populates) {
        UffdBuilder builder = new UffdBuilder().closeOnExec(true).nonBlocking(true)
                .requireFeatures(Feature.SIGBUS, Feature.PAGEFAULT_FLAG_WP);
        if (owner.kind() != Abi.MEMORY_ANONYMOUS) {
            builder.requireFeatures(Feature.WP_HUGETLBFS_SHMEM);
        }
        return populates ? builder : builder.requireFeatures(Feature.WP_UNPOPULATED);
    }

    private static int unnamedFile(Path directory) throws IOException {
        Path real = directory.toRealPath();
        byte[] name = (real + "\0").getBytes(Charset.forName(System.getProperty("sun.jnu.encoding")));
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
                    "other code of this process has replaced the SIGBUS handler of this library");
        }
        if (errno == Abi.ENOSYS) {
            return new UffdException("start", errno, detail,
                    "this kernel says that it write-protects pages, and a write to a protected page went through");
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
            uffd.close();
            owner.unclaim(() -> Native.wpFree(handle));
        }
    }
}
