// SPDX-License-Identifier: Apache-2.0
// A child process that inherits a userfaultfd and one end of a socket. Returns a value >= 0 or -errno.
#ifndef UFFD_SPAWN_H
#define UFFD_SPAWN_H

#include <sys/types.h>

struct uffd_child {
    pid_t pid;    // 0 when there is none
    int control;  // our end of the socket; its end of file is the child's death
};

int uffd_child_start(char **arguments, int uffd, struct uffd_child *child);
void uffd_child_leave(struct uffd_child *child);
int uffd_child_end(struct uffd_child *child);

#endif
