// SPDX-License-Identifier: Apache-2.0
// Calls that may block, and how another thread ends them. Every function returns a value >= 0 or -errno.
#ifndef UFFD_WAIT_H
#define UFFD_WAIT_H

#include <stdint.h>

int uffd_read(int fd, void *messages, int capacity);
int uffd_poll(int fd, int64_t nanoseconds);
int uffd_poll_or_end(int fd, int pidfd, int64_t nanoseconds);
int uffd_poll_socket(int fd, int output, int64_t nanoseconds);
int uffd_interrupt(int fd);

#endif
