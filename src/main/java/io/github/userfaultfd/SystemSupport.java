// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.HugePagePool;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.internal.Scratch;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What this system offers, found out by trying it on descriptors that are thrown away, never by comparing versions. Immutable: what
 * changes afterwards, such as the number of free huge pages, takes a new {@link #probe}.
 */
public final class SystemSupport {
    private final List<Attempt> attempts;
    private final long rawFeatures;
    private final Set<Ioctl> ioctls;
    private final OptionalInt unprivileged;
    private final Map<Long, Long> hugePages;
    private final boolean pagemapScan;
    private final boolean writeProtects;

    private SystemSupport(List<Attempt> attempts, long rawFeatures, Set<Ioctl> ioctls) {
        this.attempts = List.copyOf(attempts);
        this.rawFeatures = rawFeatures;
        this.ioctls = ioctls;
        unprivileged = ProcFiles.line(AccessDiagnosis.SETTING).map(Integer::parseInt).map(OptionalInt::of)
                .orElse(OptionalInt.empty());
        hugePages = Collections.unmodifiableSortedMap(HugePagePool.availableOfEach());
        pagemapScan = Native.pagemapScanProbe() == 0;
        writeProtects = Native.writeProtectProbe() == 0;
    }

    /**
     * One way to open a userfaultfd.
     *
     * @param method the device or the system call
     * @param userModeOnly whether for faults of user mode only
     * @param errno 0 if it opened, else the kernel's error number
     * @param reason why it did not open and what would help; empty if it did
     */
    public record Attempt(OpenMethod method, boolean userModeOnly, int errno, String reason) {
        /** {@return whether it opened} */
        public boolean opened() {
            return errno == 0;
        }

        @Override
        public String toString() {
            return method + (userModeOnly ? ", user mode only" : ", all faults") + ": "
                    + (opened() ? "opens" : Errno.name(errno) + ", " + reason);
        }
    }

    /**
     * Tries everything. Takes some milliseconds at most and does not block; nothing stays open.
     *
     * @return what was found
     */
    public static SystemSupport probe() {
        List<Attempt> attempts = new ArrayList<>();
        long features = 0;
        long ioctls = 0;
        for (OpenMethod method : new OpenMethod[] {OpenMethod.DEVICE, OpenMethod.SYSCALL}) {
            for (boolean userModeOnly : new boolean[] {true, false}) {
                Scratch created = new Scratch(Abi.CREATED_LONGS);
                int flags = Abi.CREATE_CLOSE_ON_EXEC | (userModeOnly ? Abi.CREATE_USER_MODE_ONLY : 0);
                // All ioctls are required, so that the answer tells which there are.
                long all = Ioctl.mask(List.of(Ioctl.values()));
                int fd = (int) created.pass(address -> Native.create(flags, method.number(), 0, all, address));
                boolean opened = created.get(Abi.CREATED_STAGE) != Abi.STAGE_OPEN;
                if (fd >= 0) {
                    Native.close(fd);
                }
                features |= created.get(Abi.CREATED_FEATURES);
                ioctls |= created.get(Abi.CREATED_IOCTLS);
                attempts.add(attempt(method, userModeOnly, opened ? 0 : -fd));
            }
        }
        return new SystemSupport(attempts, features, Ioctl.of(ioctls));
    }

    private static Attempt attempt(OpenMethod method, boolean userModeOnly, int errno) {
        if (errno == 0) {
            return new Attempt(method, userModeOnly, 0, "");
        }
        String reason = method == OpenMethod.DEVICE
                ? AccessDiagnosis.device(errno) : AccessDiagnosis.systemCall(errno, userModeOnly);
        return new Attempt(method, userModeOnly, errno, reason);
    }

    /** {@return the release of the running kernel} */
    public String kernel() {
        return System.getProperty("os.version");
    }

    /** {@return the system's page size in bytes} */
    public long pageSize() {
        return Native.pageSize();
    }

    /** {@return each way to open a userfaultfd and what it answered} */
    public List<Attempt> attempts() {
        return attempts;
    }

    /** {@return the features as the kernel's mask, with the bits that have no constant yet; 0 if nothing can be opened} */
    public long rawFeatures() {
        return rawFeatures;
    }

    /** {@return the ioctls that the kernel has on some kind of memory} */
    public Set<Ioctl> ioctls() {
        return ioctls;
    }

    /** {@return the value of vm.unprivileged_userfaultfd; empty if the kernel does not have the setting or it cannot be seen} */
    public OptionalInt unprivileged() {
        return unprivileged;
    }

    /** {@return the sizes of huge pages in bytes, each with the number that is free and that nobody has reserved} */
    public Map<Long, Long> hugePages() {
        return hugePages;
    }

    /** {@return whether the kernel has PAGEMAP_SCAN (Linux 6.7)} */
    public boolean pagemapScan() {
        return pagemapScan;
    }

    /**
     * {@return whether write protection has an effect, tried on a page: with Linux 5.10 on arm64 the feature PAGEFAULT_FLAG_WP is
     * there, each ioctl succeeds, and nothing is protected}
     */
    public boolean writeProtects() {
        return writeProtects;
    }

    /** {@return the features that the kernel has} */
    public Set<Feature> features() {
        return Feature.of(rawFeatures);
    }

    /** {@return whether a userfaultfd can be opened at all} */
    public boolean canOpen() {
        return attempts.stream().anyMatch(Attempt::opened);
    }
    @Override
    public String toString() {
        return "SystemSupport[Linux " + kernel() + ", pages of " + pageSize() + " bytes, " + attempts + ", features "
                + Feature.names(rawFeatures) + ", ioctls " + ioctls + "]";
    }
}
