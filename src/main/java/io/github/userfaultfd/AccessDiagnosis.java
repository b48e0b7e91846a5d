// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Errno;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.internal.Tracing;
import java.util.ArrayList;
import java.util.List;

/** Finds out why a userfaultfd could not be opened, and what would help. */
final class AccessDiagnosis {
    static final String SETTING = "/proc/sys/vm/unprivileged_userfaultfd";
    /** What everybody may, and what holds before Linux 5.2, which has no such setting. */
    private static final String ALLOWED = "1";
    private static final String GIVE_DEVICE = "docker run --device=/dev/userfaultfd, or the like";
    private static final String PROFILE = "a profile that allows userfaultfd, or give the container /dev/userfaultfd";

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
            case Abi.ENOENT -> "there is no such device (remedy: Linux 6.1 or newer; in a container " + GIVE_DEVICE
                    + "; in a systemd service PrivateDevices=no)";
            case Abi.EACCES -> "the mode of the device node does not allow this user to open it"
                    + " (remedy: setfacl -m u:NAME:rw /dev/userfaultfd, or a udev rule; if it does allow it, a mount without nodev,"
                    + " or SELinux's audit log)";
            case Abi.EPERM -> "a device cgroup or a seccomp filter forbids it (remedy: " + GIVE_DEVICE
                    + ", or a profile that allows it)";
            case Abi.EMFILE, Abi.ENFILE -> Errno.meaning(errno);
            default -> "the device does not work here";
        };
    }

    static String systemCall(int errno, boolean userModeOnly) {
        return switch (errno) {
            case Abi.EPERM -> notPermitted(userModeOnly);
            case Abi.ENOSYS -> hidden(ProcFiles.line(SETTING).isPresent(), ProcFiles.statusHex("Seccomp") != 0);
            default -> Errno.meaning(errno);
        };
    }

    /** A kernel that was built with userfaultfd has the setting, since Linux 5.2; gVisor has neither. */
    static String hidden(boolean built, boolean filtered) {
        if (built) {
            return filtered ? "a seccomp filter hides it (remedy: " + PROFILE + ")"
                    : "a sandbox hides it from this process (remedy: leave it, or have it give /dev/userfaultfd)";
        }
        return "the kernel was built without it, or a sandbox (gVisor" + (filtered ? ", a seccomp filter" : "") + ") hides it"
                + " (remedy: a kernel with CONFIG_USERFAULTFD, which gVisor's is not"
                + (filtered ? ", and a profile that allows userfaultfd" : "") + ")";
    }

    /** The kernel itself says EPERM only to callers that want kernel faults too, fs/userfaultfd.c. */
    private static String notPermitted(boolean userModeOnly) {
        String setting = ProcFiles.line(SETTING).orElse(ProcFiles.hasSettings() ? ALLOWED
                : "0 unless somebody changed it, which cannot be seen without /proc/sys");
        boolean filtered = ProcFiles.statusHex("Seccomp") != 0;
        return notPermitted(userModeOnly, Tracing.here(), setting, filtered);
    }

    static String notPermitted(boolean userModeOnly, Tracing tracing, String setting, boolean filtered) {
        boolean entitled = tracing == Tracing.ALLOWED || setting.equals(ALLOWED);
        if (userModeOnly || entitled) {
            return (filtered
                    ? "a seccomp filter forbids it, as Docker's default profile does"
                            + " (remedy: " + PROFILE + ")"
                    : "a security module of this system forbids it (remedy: SELinux and others name it in the audit log, and have a"
                            + " permission for userfaultfd)")
                    + (entitled ? "" : "; before Linux 5.11 it may be vm.unprivileged_userfaultfd=0, too");
        }
        return (tracing == Tracing.FORBIDDEN ? "this process lacks CAP_SYS_PTRACE" : "this process has CAP_SYS_PTRACE " + tracing)
                + ", and vm.unprivileged_userfaultfd is " + setting
                + " (remedy: userModeOnly(true), or the capability, or sysctl vm.unprivileged_userfaultfd=1)"
                + (filtered ? "; a seccomp filter is active, too, and may forbid it whatever the rights are" : "");
    }
}
