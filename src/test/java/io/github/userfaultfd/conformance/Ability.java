// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.support.Needs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.EnumSet;

/** What kernels can or cannot without a feature bit that tells: done once, and looked at. */
public enum Ability {
    /** UFFD_USER_MODE_ONLY. Without it a handler serves faults of system calls whatever was asked for. */
    USER_MODE_ONLY("leave out faults of the kernel", "5.11", Ability::leavesOutFaultsOfTheKernel),

    /** Bit 57 of an entry. */
    PROTECTION_IN_PAGEMAP("tell in /proc/self/pagemap which pages are write-protected", "5.14", Ability::pagemapTellsProtection),

    /** UFFDIO_CONTINUE_MODE_WP. */
    CONTINUE_WRITE_PROTECTED("map a page write-protected by UFFDIO_CONTINUE", "6.4", Ability::continuesWriteProtected),

    /** Whether there are any at the moment is another question. */
    TRANSPARENT_HUGE_PAGES("have transparent huge pages", "CONFIG_TRANSPARENT_HUGEPAGE", () -> Files.exists(ThpSupport.SIZE));

    private final String what;
    private final String broughtBy;
    private final Probe probe;
    private Boolean there;

    private interface Probe {
        boolean run() throws IOException;
    }

    Ability(String what, String broughtBy, Probe probe) {
        this.what = what;
        this.broughtBy = broughtBy;
        this.probe = probe;
    }

    private static boolean leavesOutFaultsOfTheKernel() {
        int fd = Faults.openUserfaultfd(false, Faults.UFFD_USER_MODE_ONLY);
        if (fd >= 0) {
            Native.close(fd);
        }
        return fd != -Abi.EINVAL;
    }

    private static boolean pagemapTellsProtection() throws IOException {
        if (!Needs.workingFeatures().contains(Feature.PAGEFAULT_FLAG_WP)) {
            return false;
        }
        try (MemoryRegion page = MemoryRegion.anonymous(Native.pageSize());
                Uffd uffd = new UffdBuilder().requireFeatures(Feature.PAGEFAULT_FLAG_WP).create()) {
            page.asByteBuffer(0, 1).put(0, (byte) 1);
            uffd.register(page.address(), page.size(), RegisterMode.WRITE_PROTECT);
            // Not by the method that is tested where this is there.
            Faults.ok(Native.writeProtect(uffd.fd(), page.address(), page.size(), Abi.WRITEPROTECT_MODE_WP));
            return isWriteProtected(page.address());
        }
    }

    private static boolean continuesWriteProtected() throws IOException {
        if (!Needs.workingFeatures().containsAll(EnumSet.of(Feature.MINOR_SHMEM, Feature.WP_HUGETLBFS_SHMEM))) {
            return false;
        }
        try (TestMemory memory = TestMemory.of(MemoryKind.SHMEM);
                Uffd uffd = new UffdBuilder().requireFeatures(Feature.MINOR_SHMEM, Feature.WP_HUGETLBFS_SHMEM).create()) {
            Faults.setMemory(memory.alias(), memory.page, 1);
            uffd.register(memory.address(), memory.length, RegisterMode.MINOR, RegisterMode.WRITE_PROTECT);
            uffd.continueRange(memory.address(), memory.page, ResolveMode.WRITE_PROTECT);
            return true;
        } catch (UffdException e) {
            if (e.errno() != Abi.EINVAL) {
                throw e;
            }
            return false;
        }
    }

    /** Whether a page has the mark of write-protection, where there is {@link #PROTECTION_IN_PAGEMAP}. */
    public static boolean isWriteProtected(long address) {
        return TestMemory.isWriteProtected(Faults.pagemap(address));
    }

    /** Tries it when somebody asks first: annotations name these constants long before tests run. */
    public synchronized boolean isThere() {
        if (there == null) {
            try {
                there = probe.run();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return there;
    }

    /** Skips the test, with the reason, where this kernel cannot. */
    public void need() {
        assumeTrue(isThere(), () -> "Linux " + Needs.system().kernel() + " cannot " + what + " (" + broughtBy + ")");
    }

    /** The flags of a descriptor that never blocks, as the library opens it where there is a choice. */
    static int openFlags() {
        return Faults.O_NONBLOCK | (USER_MODE_ONLY.isThere() ? Faults.UFFD_USER_MODE_ONLY : 0);
    }
}
