// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

/** Names and meanings of the kernel's error numbers, as far as the calls of this library return them. */
public final class Errno {
    private Errno() {}

    /**
     * {@return the symbolic name of an errno value, such as {@code EEXIST}, or {@code errno N} for one that is not known here}
     *
     * @param errno the positive number
     */
    public static String name(int errno) {
        return switch (errno) {
            case Abi.EPERM -> "EPERM";
            case Abi.ENOENT -> "ENOENT";
            case Abi.ESRCH -> "ESRCH";
            case Abi.EINTR -> "EINTR";
            case Abi.EIO -> "EIO";
            case Abi.EBADF -> "EBADF";
            case Abi.ECHILD -> "ECHILD";
            case Abi.EAGAIN -> "EAGAIN";
            case Abi.ENOMEM -> "ENOMEM";
            case Abi.EACCES -> "EACCES";
            case Abi.EFAULT -> "EFAULT";
            case Abi.EBUSY -> "EBUSY";
            case Abi.EEXIST -> "EEXIST";
            case Abi.ENODEV -> "ENODEV";
            case Abi.EINVAL -> "EINVAL";
            case Abi.ENFILE -> "ENFILE";
            case Abi.EMFILE -> "EMFILE";
            case Abi.ENOTTY -> "ENOTTY";
            case Abi.ENOSPC -> "ENOSPC";
            case Abi.ENOSYS -> "ENOSYS";
            case Abi.EBADMSG -> "EBADMSG";
            case Abi.EOPNOTSUPP -> "EOPNOTSUPP";
            case Abi.EPIPE -> "EPIPE";
            case Abi.ENAMETOOLONG -> "ENAMETOOLONG";
            case Abi.EADDRINUSE -> "EADDRINUSE";
            case Abi.ECONNRESET -> "ECONNRESET";
            case Abi.EUSERS -> "EUSERS";
            case Abi.ETOOMANYREFS -> "ETOOMANYREFS";
            case Abi.ETIMEDOUT -> "ETIMEDOUT";
            case Abi.ECONNREFUSED -> "ECONNREFUSED";
            case Abi.EHWPOISON -> "EHWPOISON";
            default -> "errno " + errno;
        };
    }

    /**
     * {@return what the errno value says about a call on a userfaultfd or on the memory below it}
     *
     * @param errno the positive number
     */
    public static String meaning(int errno) {
        return switch (errno) {
            case Abi.EPERM -> "not permitted";
            case Abi.ENOENT -> "the range is not inside one registered mapping, or the layout has changed";
            case Abi.ESRCH -> "the process whose memory this is has ended";
            case Abi.EIO -> "the memory or the file below it has an error";
            case Abi.EBADF -> "not an open descriptor";
            case Abi.EAGAIN -> "no progress now: an event is pending or the mappings are changing; read the events and try again";
            case Abi.ENOMEM -> "not enough memory, or part of the range is not mapped or beyond the end of its file, or the process has ended";
            case Abi.EACCES -> "access denied";
            case Abi.EFAULT -> "part of the memory is not there or cannot be read";
            case Abi.EBUSY -> "another userfaultfd has the range, or a page is pinned or shared";
            case Abi.EEXIST -> "a page is there already";
            case Abi.ENODEV -> "no such device";
            case Abi.EINVAL -> "the kernel does not take these arguments for this kind of memory";
            case Abi.ENFILE, Abi.EMFILE -> "too many open files";
            case Abi.ENOTTY -> "not a userfaultfd, or a kernel without this ioctl";
            case Abi.ENOSPC -> "no space is left for the pages";
            case Abi.ENOSYS -> "the kernel, or the sandbox around this process, does not have the call";
            case Abi.EBADMSG -> "a checksum is wrong";
            case Abi.EOPNOTSUPP -> "not supported for this kind of memory";
            case Abi.EPIPE, Abi.ECONNRESET -> "the other side has closed the connection";
            case Abi.ENAMETOOLONG -> "the name is too long";
            case Abi.EADDRINUSE -> "the name is taken: somebody listens there, or did and left the file behind";
            case Abi.EUSERS -> "a call that waits needs a real-time signal to be ended by, and all of this process are taken";
            case Abi.ETOOMANYREFS -> "a message carries more descriptors than expected; all were closed";
            case Abi.ECONNREFUSED -> "nobody listens there";
            case Abi.EHWPOISON -> "a page of the range is poisoned";
            default -> "the call failed";
        };
    }
}
