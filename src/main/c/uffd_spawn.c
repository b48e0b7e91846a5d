// SPDX-License-Identifier: Apache-2.0
#include "uffd_spawn.h"

#include "uffd_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { FIRST_FREE = 10 };  // above the numbers that the child finds

// What SYS_getdents64 fills in, getdents(2).
struct directory_entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t kind;
    char name[];
};

// No lock; any thread. Closes in the child what others of this process have opened without close-on-exec, as some of the JDK's
// sockets are: a server's port would stay taken as long as the child lives.
static int close_inherited(posix_spawn_file_actions_t *actions)
{
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    _Alignas(8) char entries[4096];
    int error = 0;
    long bytes;
    while (!error && (bytes = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        const struct directory_entry *each;
        for (long at = 0; at < bytes && !error; at += each->length) {
            each = (const struct directory_entry *)(const void *)(entries + at);
            int fd = atoi(each->name);
            long flags = fd > STDERR_FILENO ? syscall(SYS_fcntl, fd, F_GETFD) : FD_CLOEXEC;
            if (flags >= 0 && !(flags & FD_CLOEXEC))
                error = posix_spawn_file_actions_addclose(actions, fd);
        }
    }
    close(directory);
    return -error;
}

// No lock; any thread. Nothing of this JVM's signals reaches the child: neither its mask and handlers, nor what is typed at
// the terminal, which would end the child before its parent.
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (!error)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return -error;
}

// No lock; any thread. The descriptors are above FIRST_FREE, so that none of the two takes the other's place.
static int spawn(char **arguments, int control, int uffd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    int failed = close_inherited(&actions);
    if (!failed)
        failed = -posix_spawn_file_actions_adddup2(&actions, control, UFFD_CHILD_CONTROL);
    if (!failed)
        failed = -posix_spawn_file_actions_adddup2(&actions, uffd, UFFD_CHILD_UFFD);
    if (!failed)
        failed = set_signals(&attributes);
    if (!failed)
        failed = -posix_spawn(pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

// No lock; any thread. Not by fcntl, which is fcntl64 of glibc 2.28 where offsets have 64 bits.
static int duplicate_high(int fd)
{
    long copy = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    return copy < 0 ? -errno : (int)copy;
}

// No lock; any thread. A failure leaves no descriptor and no process.
int uffd_child_start(char **arguments, int uffd, struct uffd_child *child)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int control = duplicate_high(pair[1]);
    int copy = duplicate_high(uffd);
    int failed = control < 0 ? control : copy < 0 ? copy : 0;
    if (!failed)
        failed = spawn(arguments, control, copy, &child->pid);
    if (control >= 0)
        close(control);
    if (copy >= 0)
        close(copy);
    close(pair[1]);
    if (failed) {
        close(pair[0]);
        child->pid = 0;
        child->control = -1;
        return failed;
    }
    child->control = pair[0];
    return 0;
}

// No lock; any thread. The child finds its socket closed, and ends.
void uffd_child_leave(struct uffd_child *child)
{
    close(child->control);
    child->control = -1;
}

// Waits for a process that was left and has ended, or is ended here; one thread. Its status, wait(2).
int uffd_child_end(struct uffd_child *child)
{
    int status = 0;
    if (child->pid > 0) {
        // One that has closed its socket by itself is about to end and may tell a status of its own.
        for (int i = 0; i < 50 && waitpid(child->pid, &status, WNOHANG) == 0; i++) {
            if (i == 49) {
                kill(child->pid, SIGKILL);
                while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
                }
                break;
            }
            struct timespec moment = { .tv_nsec = 1000000 };
            nanosleep(&moment, NULL);
        }
    }
    child->pid = 0;
    return status;
}
