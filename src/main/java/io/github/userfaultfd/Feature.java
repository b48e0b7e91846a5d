// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import java.util.Collection;
import java.util.Set;

/**
 * The features of userfaultfd, {@code UFFD_FEATURE_*} of the kernel's header, in the order of their bits. Bits of a newer
 * kernel that have no constant here stay visible in {@link Uffd#rawFeatures()}.
 *
 * @see <a href="https://man7.org/linux/man-pages/man2/ioctl_userfaultfd.2.html">ioctl_userfaultfd(2), UFFDIO_API</a>
 */
public enum Feature {
    /** Write-protect faults are reported, on anonymous memory. Linux 5.7. */
    PAGEFAULT_FLAG_WP(Abi.FEATURE_PAGEFAULT_FLAG_WP, "5.7"),

    /** {@link Event.Fork}; needs CAP_SYS_PTRACE, else {@code create} fails with EPERM. Linux 4.11. */
    EVENT_FORK(Abi.FEATURE_EVENT_FORK, "4.11"),

    /** {@link Event.Remap}, for mremap(2). Linux 4.11. */
    EVENT_REMAP(Abi.FEATURE_EVENT_REMAP, "4.11"),

    /** {@link Event.Remove}, for madvise(2) with MADV_REMOVE, MADV_DONTNEED and MADV_FREE. Linux 4.11. */
    EVENT_REMOVE(Abi.FEATURE_EVENT_REMOVE, "4.11"),

    /** Missing pages of huge page mappings can be registered. Linux 4.11. */
    MISSING_HUGETLBFS(Abi.FEATURE_MISSING_HUGETLBFS, "4.11"),

    /** Missing pages of shared memory can be registered. Linux 4.11. */
    MISSING_SHMEM(Abi.FEATURE_MISSING_SHMEM, "4.11"),

    /** {@link Event.Unmap}, for munmap(2). Linux 4.11. */
    EVENT_UNMAP(Abi.FEATURE_EVENT_UNMAP, "4.11"),

    /** A fault raises SIGBUS on the faulting thread instead of an event. Linux 4.14. */
    SIGBUS(Abi.FEATURE_SIGBUS, "4.14"),

    /** {@link Event.PageFault#threadId()} is filled in. Linux 4.14. */
    THREAD_ID(Abi.FEATURE_THREAD_ID, "4.14"),

    /** Minor faults of huge page mappings can be registered. Linux 5.13. */
    MINOR_HUGETLBFS(Abi.FEATURE_MINOR_HUGETLBFS, "5.13"),

    /** Minor faults of shared memory can be registered. Linux 5.14. */
    MINOR_SHMEM(Abi.FEATURE_MINOR_SHMEM, "5.14"),

    /** {@link Event.PageFault#address()} is the exact address and not that of the page, except on s390x. Linux 5.18. */
    EXACT_ADDRESS(Abi.FEATURE_EXACT_ADDRESS, "5.18"),

    /** Write-protect on huge pages and shared memory. Linux 5.19. */
    WP_HUGETLBFS_SHMEM(Abi.FEATURE_WP_HUGETLBFS_SHMEM, "5.19"),

    /** Write-protect also holds for anonymous pages that are not there yet. Linux 6.4. */
    WP_UNPOPULATED(Abi.FEATURE_WP_UNPOPULATED, "6.4"),

    /** {@link Uffd#poison}. Linux 6.6. */
    POISON(Abi.FEATURE_POISON, "6.6"),

    /** The kernel resolves write-protect faults itself and keeps note, for PAGEMAP_SCAN. Linux 6.7. */
    WP_ASYNC(Abi.FEATURE_WP_ASYNC, "6.7"),

    /** {@link Uffd#move}. Linux 6.8. */
    MOVE(Abi.FEATURE_MOVE, "6.8"),

    /** Read-write protection: present pages can be made inaccessible. Linux 7.3. */
    RWP(Abi.FEATURE_RWP, "7.3"),

    /** The kernel resolves read-write-protect faults itself and keeps note; needs {@link #RWP} too. Linux 7.3. */
    RWP_ASYNC(Abi.FEATURE_RWP_ASYNC, "7.3");

    private final long bit;
    private final String since;

    Feature(long bit, String since) {
        this.bit = bit;
        this.since = since;
    }

    /** {@return the kernel's bit} */
    public long bit() {
        return bit;
    }

    /** {@return the version of Linux that brought the feature; a kernel can still be built without it} */
    public String since() {
        return since;
    }

    /**
     * Names the features of a mask; a bit of a newer kernel, which has no constant here, is named by its number.
     *
     * @param mask such as {@link Uffd#rawFeatures()}
     * @return for example {@code [SIGBUS, MOVE, bit 40]}
     */
    public static String names(long mask) {
        return Masks.names(Feature.class, Feature::bit, mask, "bit ");
    }

    static long mask(Collection<Feature> features) {
        return Masks.mask(features, Feature::bit);
    }

    static Set<Feature> of(long mask) {
        return Masks.constants(Feature.class, Feature::bit, mask);
    }
}
