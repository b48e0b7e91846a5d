// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.ProcFiles;
import java.util.ArrayList;
import java.util.List;

/** Finds out why a userfaultfd could not be opened, and what would help. */
final class AccessDiagnosis {
    private static final int CAP_SYS_PTRACE = 19;

    private AccessDiagnosis() {}

    static UffdException refused(int errno, boolean userModeOnly, int deviceErrno, int syscallErrno) {
        List<String> reasons = new ArrayList<>();
        if (deviceErrno > 0) {
            reasons.add("/dev/userfaultfd: " + Errno.name(deviceErrno) + ", " + device(deviceErrno));
        }
        if (syscallErrno > 0) {
            reasons.add("the system call: " + Errno.name(syscallErrno) + ", " + systemCall(syscallErrno, userModeOnly));
        }
        return new UffdException("create", errno, userModeOnly ? "" : "with userModeOnly(false)", String.join("; ", reasons));
    }

    static String device(int errno) {
        return switch (errno) {
            case Abi.ENOENT -> "there is no such device (it came with Linux 6.1; a container may hide it)";
            case Abi.EACCES -> "the mode of the device node does not allow this user to open it"
                    + " (remedy: setfacl -m u:NAME:rw /dev/userfaultfd, or a udev rule)";
            case Abi.EPERM -> "a device cgroup or a seccomp filter forbids it";
            case Abi.EMFILE, Abi.ENFILE -> Errno.meaning(errno);
            default -> "the device does not work here";
        };
    }

    static String systemCall(int errno, boolean userModeOnly) {
        return switch (errno) {
            case Abi.EPERM -> notPermitted(userModeOnly);
            case Abi.ENOSYS -> "the kernel was built without it, or a sandbox (gVisor, a seccomp filter) hides it";
            default -> Errno.meaning(errno);
        };
    }

    /** The kernel itself says EPERM only to callers that want kernel faults too, fs/userfaultfd.c. */
    private static String notPermitted(boolean userModeOnly) {
        boolean capable = (ProcFiles.statusHex("CapEff") >>> CAP_SYS_PTRACE & 1) != 0;
        boolean allowed = "1".equals(ProcFiles.line("/proc/sys/vm/unprivileged_userfaultfd").orElse("1"));
        boolean filtered = ProcFiles.statusHex("Seccomp") != 0;
        if (userModeOnly || capable || allowed) {
            return filtered
                    ? "a seccomp filter forbids it, as Docker's default profile does"
                            + " (remedy: a profile that allows userfaultfd, or give the container /dev/userfaultfd)"
                    : "a security module of this system forbids it (remedy: SELinux and others name it in the audit log, and have a"
                            + " permission for userfaultfd)";
        }
        return "this process lacks CAP_SYS_PTRACE, and vm.unprivileged_userfaultfd is 0"
                + " (remedy: userModeOnly(true), or the capability, or sysctl vm.unprivileged_userfaultfd=1)"
                + (filtered ? "; a seccomp filter is active, too, and may forbid it whatever the rights are" : "");
    }
}
