// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;

/**
 * A part of the range was done, then the kernel stopped: at a page that is there already, or because of a pending event. The
 * rest starts at the operation's address plus {@link #transferred()}; asked for again, it says why.
 */
public class PartialTransferException extends UffdException {
    private static final long serialVersionUID = 1L;

    /** Bytes done. */
    private final long transferred;

    PartialTransferException(String operation, String detail, long transferred) {
        super(operation, Abi.EAGAIN, detail, transferred + " bytes were done; go on behind them");
        this.transferred = transferred;
    }

    /** {@return the bytes done, more than 0 and less than were asked for} */
    public long transferred() {
        return transferred;
    }
}
