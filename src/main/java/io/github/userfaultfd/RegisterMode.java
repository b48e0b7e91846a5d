// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;

/** Which faults of a range are handled, {@code UFFDIO_REGISTER_MODE_*}. */
public enum RegisterMode {
    /** Accesses to pages that are not there. Linux 4.3; shared memory and huge pages 4.11. */
    MISSING(Abi.REGISTER_MODE_MISSING),

    /** Writes to pages that {@link Uffd#writeProtect} protected. Linux 5.7; shared memory and huge pages 5.19. */
    WRITE_PROTECT(Abi.REGISTER_MODE_WP),

    /** Accesses to pages that the page cache has but this mapping does not. Linux 5.13, shared memory and huge pages only. */
    MINOR(Abi.REGISTER_MODE_MINOR),

    /**
     * Every access to pages that {@link Uffd#readWriteProtect} protected. Linux 7.3; not together with {@link #WRITE_PROTECT},
     * which the kernel marks by the same bit of a page, and needs {@link Feature#RWP}.
     */
    READ_WRITE_PROTECT(Abi.REGISTER_MODE_RWP);

    private final long bit;

    RegisterMode(long bit) {
        this.bit = bit;
    }

    /** {@return the kernel's bit} */
    public long bit() {
        return bit;
    }
}
