// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.internal.Scratch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What this system offers, found out by trying it on descriptors that are thrown away, never by comparing versions.
 *
 * @param kernel the release of the running kernel
 * @param pageSize the system's page size in bytes
 * @param attempts each way to open a userfaultfd and what it answered
 * @param rawFeatures the features as the kernel's mask, with the bits that have no constant yet; 0 if nothing can be opened
 * @param ioctls those that the kernel has on some kind of memory
 * @param unprivileged the value of vm.unprivileged_userfaultfd; empty if the kernel does not have the setting
 * @param hugePages the sizes of huge pages in bytes, each with the number that is free
 * @param pagemapScan whether the kernel has PAGEMAP_SCAN (Linux 6.7)
 * @param writeProtects whether write protection has an effect, tried on a page: with Linux 5.10 on arm64 the feature
 *     PAGEFAULT_FLAG_WP is there, each ioctl succeeds, and nothing is protected
 */
public record SystemSupport(String kernel, long pageSize, List<Attempt> attempts, long rawFeatures, Set<Ioctl> ioctls,
        OptionalInt unprivileged, Map<Long, Long> hugePages, boolean pagemapScan, boolean writeProtects) {

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
        String sysctl = ProcFiles.line("/proc/sys/vm/unprivileged_userfaultfd").orElse("");
        return new SystemSupport(System.getProperty("os.version"), Native.pageSize(), List.copyOf(attempts), features, Ioctl.of(ioctls),
                sysctl.isEmpty() ? OptionalInt.empty() : OptionalInt.of(Integer.parseInt(sysctl)), freeHugePages(),
                Native.pagemapScanProbe() == 0, Native.writeProtectProbe() == 0);
    }

    private static Attempt attempt(OpenMethod method, boolean userModeOnly, int errno) {
        if (errno == 0) {
            return new Attempt(method, userModeOnly, 0, "");
        }
        String reason = method == OpenMethod.DEVICE
                ? AccessDiagnosis.device(errno) : AccessDiagnosis.systemCall(errno, userModeOnly);
        return new Attempt(method, userModeOnly, errno, reason);
    }

    private static Map<Long, Long> freeHugePages() {
        Map<Long, Long> found = new TreeMap<>();
        Path all = Path.of("/sys/kernel/mm/hugepages");
        if (!Files.isDirectory(all)) {
            return found;
        }
        try (Stream<Path> sizes = Files.list(all)) {
            for (Path each : (Iterable<Path>) sizes::iterator) {
                long kilobytes = Long.parseLong(each.getFileName().toString().replaceAll("\\D", ""));
                long free = Long.parseLong(ProcFiles.line(each.resolve("free_hugepages").toString()).orElse("0"));
                found.put(kilobytes * 1024, free);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Collections.unmodifiableMap(found);
    }

    /** {@return the features that the kernel has} */
    public Set<Feature> features() {
        return Feature.of(rawFeatures);
    }

    /** {@return whether a userfaultfd can be opened at all} */
    public boolean canOpen() {
        return attempts.stream().anyMatch(Attempt::opened);
    }
}
