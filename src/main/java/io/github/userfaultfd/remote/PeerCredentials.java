// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

/**
 * Who is on the other side of a socket, as the kernel noted it when the connection was made: SO_PEERCRED, unix(7).
 *
 * @param pid the process, in this process's pid namespace; 0 if it has no number there
 * @param uid its user
 * @param gid its group
 */
public record PeerCredentials(long pid, long uid, long gid) {}
