// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import java.util.Collection;
import java.util.Set;

/**
 * The ioctls of a userfaultfd, {@code UFFDIO_*}. Which of them a range has depends on its kind of memory and on the modes
 * that it was registered with: {@link Uffd#register(long, long, RegisterMode...)} tells.
 *
 * @see <a href="https://man7.org/linux/man-pages/man2/ioctl_userfaultfd.2.html">ioctl_userfaultfd(2)</a>
 */
public enum Ioctl {
    /** The handshake, done by {@link UffdBuilder#create()}. Linux 4.3. */
    API(Abi.IOCTL_API, "4.3"),

    /** {@link Uffd#register(long, long)}. Linux 4.3. */
    REGISTER(Abi.IOCTL_REGISTER, "4.3"),

    /** {@link Uffd#unregister}. Linux 4.3. */
    UNREGISTER(Abi.IOCTL_UNREGISTER, "4.3"),

    /** {@link Uffd#wake}. Linux 4.3. */
    WAKE(Abi.IOCTL_WAKE, "4.3"),

    /** {@link Uffd#copy}. Linux 4.3. */
    COPY(Abi.IOCTL_COPY, "4.3"),

    /** {@link Uffd#zeropage}. Linux 4.3. */
    ZEROPAGE(Abi.IOCTL_ZEROPAGE, "4.3"),

    /** {@link Uffd#move}. Linux 6.8. */
    MOVE(Abi.IOCTL_MOVE, "6.8"),

    /** {@link Uffd#writeProtect} and {@link Uffd#removeWriteProtection}. Linux 5.7. */
    WRITEPROTECT(Abi.IOCTL_WRITEPROTECT, "5.7"),

    /** {@link Uffd#continueRange}. Linux 5.13. */
    CONTINUE(Abi.IOCTL_CONTINUE, "5.13"),

    /** {@link Uffd#poison}. Linux 6.6. */
    POISON(Abi.IOCTL_POISON, "6.6"),

    /** {@link Uffd#readWriteProtect} and {@link Uffd#removeReadWriteProtection}. Linux 7.3. */
    RWPROTECT(Abi.IOCTL_RWPROTECT, "7.3"),

    /** {@link Uffd#setMode}. Linux 7.3. */
    SET_MODE(Abi.IOCTL_SET_MODE, "7.3");

    private final int number;
    private final String since;

    Ioctl(int number, String since) {
        this.number = number;
        this.since = since;
    }

    /** {@return the ioctl's number, which is also its bit in the kernel's masks} */
    public int number() {
        return number;
    }

    /** {@return the version of Linux that brought the ioctl} */
    public String since() {
        return since;
    }

    /**
     * Names the ioctls of a mask; one of a newer kernel, which has no constant here, is named by its number.
     *
     * @param mask such as {@link Uffd#rawIoctls()}
     * @return for example {@code [WAKE, COPY, number 20]}
     */
    public static String names(long mask) {
        return Masks.names(Ioctl.class, Ioctl::bit, mask, "number ");
    }

    static long mask(Collection<Ioctl> ioctls) {
        return Masks.mask(ioctls, Ioctl::bit);
    }

    static Set<Ioctl> of(long mask) {
        return Masks.constants(Ioctl.class, Ioctl::bit, mask);
    }

    private long bit() {
        return 1L << number;
    }
}
