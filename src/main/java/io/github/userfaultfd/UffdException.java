// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Errno;
import java.io.IOException;

/** A call that the kernel refused. The message names the operation, what it was called with, and the reason. */
public class UffdException extends IOException {
    private static final long serialVersionUID = 1L;

    /** The call that failed. */
    private final String operation;
    /** Its errno value. */
    private final int errno;

    /**
     * Makes an exception whose message explains the errno value.
     *
     * @param operation what was called, such as {@code copy}
     * @param errno the kernel's positive error number
     * @param detail what it was called with, such as the address and the length in bytes
     */
    public UffdException(String operation, int errno, String detail) {
        this(operation, errno, detail, Errno.meaning(errno));
    }

    /**
     * Makes an exception with its own explanation.
     *
     * @param operation what was called, such as {@code copy}
     * @param errno the kernel's positive error number
     * @param detail what it was called with, such as the address and the length in bytes
     * @param reason what the errno value means here, and what can be done
     */
    public UffdException(String operation, int errno, String detail, String reason) {
        super(operation + (detail.isEmpty() ? "" : " " + detail) + ": " + Errno.name(errno) + ", " + reason);
        this.operation = operation;
        this.errno = errno;
    }

    /** {@return the kernel's positive error number} */
    public int errno() {
        return errno;
    }

    /** {@return the operation that failed, such as {@code register}} */
    public String operation() {
        return operation;
    }
}
