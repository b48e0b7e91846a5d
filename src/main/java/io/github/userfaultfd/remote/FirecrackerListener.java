// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.io.IOException;
import java.util.List;

/** What a {@link FirecrackerHandler} tells, on threads of its own. What a method throws is logged. */
public interface FirecrackerListener {
    /**
     * A microVM is being served, and runs. The place to start a prefetch.
     *
     * @param vm the Firecracker process
     * @param mappings the guest's memory
     */
    default void serves(ServedProcess vm, List<RemoteMapping> mappings) {}

    /**
     * Somebody connected and was not served; its descriptors were closed.
     *
     * @param peer who
     * @param why what was wrong with the message
     */
    default void refused(PeerCredentials peer, IOException why) {}

    /**
     * A microVM has ended, or its service was closed.
     *
     * @param vm the Firecracker process
     */
    default void ended(ServedProcess vm) {}
}
