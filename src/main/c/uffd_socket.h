// SPDX-License-Identifier: Apache-2.0
// Unix-domain stream sockets that carry bytes and descriptors, and handles of other processes. Nothing here blocks: whoever has
// to wait does so in uffd_wait.c. Every function returns a value >= 0 or -errno.
#ifndef UFFD_SOCKET_H
#define UFFD_SOCKET_H

#include <stddef.h>
#include <stdint.h>

enum { UFFD_MOST_DESCRIPTORS = 253 };  // SCM_MAX_FD of the kernel, include/net/scm.h

// What uffd_socket_peer tells; all int64_t, because Java reads it as longs.
struct uffd_peer {
    int64_t pid;
    int64_t uid;
    int64_t gid;
};

int uffd_socket_listen(const char *name, size_t length, int backlog);
int uffd_socket_connect(const char *name, size_t length);
int uffd_socket_accept(int listener);
int64_t uffd_socket_send(int fd, const void *bytes, size_t length, const int *descriptors, int count);
int64_t uffd_socket_receive(int fd, void *bytes, size_t length, int *descriptors, int room);
int uffd_socket_peer(int fd, struct uffd_peer *peer);
int uffd_socket_peer_pidfd(int fd);
int uffd_pidfd_open(int64_t pid);
int uffd_pidfd_signal(int pidfd, int number);
int uffd_non_blocking(int fd);

#endif
