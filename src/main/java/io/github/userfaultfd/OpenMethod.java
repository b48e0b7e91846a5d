// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;

/** How a userfaultfd is opened. */
public enum OpenMethod {
    /** The device, and on any error of it the system call. */
    AUTO(Abi.OPEN_AUTO),

    /** {@code /dev/userfaultfd}, Linux 6.1: the mode of the device node alone decides who may. */
    DEVICE(Abi.OPEN_DEVICE),

    /** The system call userfaultfd(2), Linux 4.3; not user-mode-only it needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1. */
    SYSCALL(Abi.OPEN_SYSCALL);

    private final int number;

    OpenMethod(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static OpenMethod of(long number) {
        for (OpenMethod each : values()) {
            if (each.number == number) {
                return each;
            }
        }
        throw new AssertionError("open method " + number);
    }
}
