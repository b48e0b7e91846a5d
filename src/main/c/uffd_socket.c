// SPDX-License-Identifier: Apache-2.0
#include "uffd_socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

// Linux 5.1, 5.3 and 6.5. Both numbers of system calls are the same on all processors but alpha.
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SO_PEERPIDFD
#if defined(__hppa__) || defined(__sparc__)
#define SO_PEERPIDFD (-1)
#else
#define SO_PEERPIDFD 77
#endif
#endif

// No lock; any thread. A name that begins with a zero byte is abstract, unix(7). The address's length, or -ENAMETOOLONG.
static int64_t address_of(const char *name, size_t length, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int is_path = length > 0 && name[0] != 0;
    if (length == 0 || length + (is_path ? 1 : 0) > sizeof address->sun_path)
        return length == 0 ? -EINVAL : -ENAMETOOLONG;
    memcpy(address->sun_path, name, length);
    return (int64_t)(offsetof(struct sockaddr_un, sun_path) + length + (is_path ? 1 : 0));
}

// No lock; any thread.
static int open_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

// No lock; any thread. A failure leaves no descriptor and, unless another owns it, no file.
int uffd_socket_listen(const char *name, size_t length, int backlog)
{
    struct sockaddr_un address;
    int64_t bytes = address_of(name, length, &address);
    if (bytes < 0)
        return (int)bytes;
    int fd = open_socket();
    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)bytes) < 0 || listen(fd, backlog) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

// No lock; any thread. -EAGAIN when the listener's queue is full: try again later.
int uffd_socket_connect(const char *name, size_t length)
{
    struct sockaddr_un address;
    int64_t bytes = address_of(name, length, &address);
    if (bytes < 0)
        return (int)bytes;
    int fd = open_socket();
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, (socklen_t)bytes) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

// No lock; any thread. -EAGAIN when nobody is there.
int uffd_socket_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

// Room for one control message with all the descriptors that the kernel lets pass, aligned as it has to be.
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(UFFD_MOST_DESCRIPTORS * sizeof(int))];
};

// No lock; any thread. Bytes sent, which can be fewer than asked; the descriptors go with the first of them. -EAGAIN when there
// is no room. The kernel has its own references afterwards: a peer that dies without receiving loses nothing of the caller's.
int64_t uffd_socket_send(int fd, const void *bytes, size_t length, const int *descriptors, int count)
{
    if (count < 0 || count > UFFD_MOST_DESCRIPTORS || length == 0)
        return -EINVAL;
    union control control = { .bytes = { 0 } };
    struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (count > 0) {
        size_t size = (size_t)count * sizeof(int);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(size);
        control.header.cmsg_len = CMSG_LEN(size);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), descriptors, size);
    }
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

// No lock; any thread. Copies the descriptors of one control message as far as there is room, and closes what is left over.
static int take(const struct cmsghdr *header, int *descriptors, int room, int taken)
{
    int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    const unsigned char *data = CMSG_DATA((struct cmsghdr *)(uintptr_t)header);
    for (int i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, data + (size_t)i * sizeof fd, sizeof fd);
        if (taken + i < room)
            descriptors[taken + i] = fd;
        else
            close(fd);
    }
    return taken + count;
}

// No lock; any thread. Receives into length bytes (0 is the end of the stream) and room descriptors; unused places of
// descriptors are -1. All or nothing: when some do not fit, or the kernel could not open some (MSG_CTRUNC: its limit of open
// files), all are closed: -ETOOMANYREFS or -EMFILE, and the bytes that came with them are lost.
int64_t uffd_socket_receive(int fd, void *bytes, size_t length, int *descriptors, int room)
{
    union control control;
    struct iovec part = { .iov_base = bytes, .iov_len = length };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
    };
    for (int i = 0; i < room; i++)
        descriptors[i] = -1;
    ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (received < 0)
        return -errno;
    int taken = 0;
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS)
            taken = take(each, descriptors, room, taken);
    }
    int cut = (message.msg_flags & MSG_CTRUNC) != 0;
    if (!cut && taken <= room)
        return received;
    for (int i = 0; i < taken && i < room; i++) {
        close(descriptors[i]);
        descriptors[i] = -1;
    }
    return cut ? -EMFILE : -ETOOMANYREFS;
}

// No lock; any thread. Who connected, or who listened: as they were then, SO_PEERCRED in unix(7).
int uffd_socket_peer(int fd, struct uffd_peer *peer)
{
    struct ucred found;
    socklen_t length = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &length) < 0)
        return -errno;
    *peer = (struct uffd_peer){ found.pid, found.uid, found.gid };
    return 0;
}

// No lock; any thread. A descriptor of the peer's process: the very one, even if its number was given to another since (Linux
// 6.5), close-on-exec; -ESRCH if it has ended, for which some kernels say EINVAL. Older kernels: of the process that has the number now.
int uffd_socket_peer_pidfd(int fd)
{
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
        return pidfd;
    if (errno != ENOPROTOOPT)
        return errno == EINVAL ? -ESRCH : -errno;
    struct uffd_peer peer;
    int failed = uffd_socket_peer(fd, &peer);
    return failed ? failed : uffd_pidfd_open(peer.pid);
}

// No lock; any thread. Close-on-exec; poll(2) finds it readable when the process has ended. Linux 5.3.
int uffd_pidfd_open(int64_t pid)
{
    long fd = syscall(SYS_pidfd_open, (pid_t)pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

// No lock; any thread. Number 0 sends nothing: -ESRCH when the process has ended. Linux 5.1.
int uffd_pidfd_signal(int pidfd, int number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

// No lock; any thread. For a descriptor that came from elsewhere: the flag belongs to the open file, so its other owners see
// it. Not by fcntl, which is fcntl64 of glibc 2.28 where offsets have 64 bits.
int uffd_non_blocking(int fd)
{
    int on = 1;
    return ioctl(fd, FIONBIO, &on) < 0 ? -errno : 0;
}
