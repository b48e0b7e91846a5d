// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.support.Needs;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;

/** The kinds of memory that the kernel's own tests go through, and what userfaultfd does with each. */
enum MemoryKind {
    ANONYMOUS, SHMEM, SHMEM_PRIVATE, HUGETLB, HUGETLB_PRIVATE;

    boolean isHuge() {
        return this == HUGETLB || this == HUGETLB_PRIVATE;
    }

    boolean isFile() {
        return this != ANONYMOUS;
    }

    /** Other mappings of the same pages see what is written to this one. */
    boolean isShared() {
        return this == SHMEM || this == HUGETLB;
    }

    /** The feature that registering missing pages needs. */
    Set<Feature> missing() {
        return switch (this) {
            case ANONYMOUS -> EnumSet.noneOf(Feature.class);
            case SHMEM, SHMEM_PRIVATE -> EnumSet.of(Feature.MISSING_SHMEM);
            case HUGETLB, HUGETLB_PRIVATE -> EnumSet.of(Feature.MISSING_HUGETLBFS);
        };
    }

    /** The features that write-protecting needs. */
    Set<Feature> writeProtect() {
        EnumSet<Feature> needed = EnumSet.of(Feature.PAGEFAULT_FLAG_WP);
        if (isFile()) {
            needed.add(Feature.WP_HUGETLBFS_SHMEM);
        }
        return needed;
    }

    boolean canBeWriteProtected() {
        return Needs.workingFeatures().containsAll(writeProtect());
    }

    /** What registering missing pages needs, and write-protecting where this kernel has it. */
    Set<Feature> missingAndWhatProtects() {
        Set<Feature> features = missing();
        if (canBeWriteProtected()) {
            features.addAll(writeProtect());
        }
        return features;
    }

    /** The feature that minor faults need. */
    Set<Feature> minor() {
        return EnumSet.of(isHuge() ? Feature.MINOR_HUGETLBFS : Feature.MINOR_SHMEM);
    }

    boolean takes(RegisterMode mode) {
        return mode != RegisterMode.MINOR || isFile();
    }

    /** The ioctls of a range, by the kernel's documentation of UFFDIO_REGISTER. */
    Set<Ioctl> ioctls(Set<RegisterMode> modes) {
        EnumSet<Ioctl> expected = EnumSet.of(Ioctl.WAKE, Ioctl.COPY);
        Set<Feature> features = Needs.system().features();
        if (features.contains(Feature.POISON)) {
            expected.add(Ioctl.POISON);
        }
        if (!isHuge()) {
            expected.add(Ioctl.ZEROPAGE);
            if (features.contains(Feature.MOVE)) {
                expected.add(Ioctl.MOVE);
            }
        }
        if (modes.contains(RegisterMode.WRITE_PROTECT)) {
            expected.add(Ioctl.WRITEPROTECT);
        }
        if (modes.contains(RegisterMode.MINOR)) {
            expected.add(Ioctl.CONTINUE);
        }
        return expected;
    }

    /** The name in the kernel's tests. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
