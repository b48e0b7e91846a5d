// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

/**
 * The right that the kernel asks for before it lets faults of system calls or forks be handled, {@code capable(CAP_SYS_PTRACE)} of
 * fs/userfaultfd.c: the capability, and only in the initial user namespace.
 */
public enum Tracing {
    /** It has the right. */
    ALLOWED("yes"),
    /** It has the capability, as root of a user namespace of its own, such as that of a rootless container. */
    ONLY_IN_NAMESPACE("only in a user namespace of its own, which does not count"),
    /** It does not have the capability. */
    FORBIDDEN("no");

    private static final int CAP_SYS_PTRACE = 19;

    private final String words;

    Tracing(String words) {
        this.words = words;
    }

    /** {@return what the calling thread may do} */
    public static Tracing here() {
        if ((ProcFiles.statusHex("CapEff") >>> CAP_SYS_PTRACE & 1) == 0) {
            return FORBIDDEN;
        }
        // The whole of all identifiers, mapped to itself.
        boolean initial = ProcFiles.line("/proc/self/uid_map").map(each -> each.matches("0\\s+0\\s+4294967295")).orElse(true);
        return initial ? ALLOWED : ONLY_IN_NAMESPACE;
    }

    @Override
    public String toString() {
        return words;
    }
}
