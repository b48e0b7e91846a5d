// SPDX-License-Identifier: Apache-2.0
// seccomp_launcher ERRNO [--no-device] COMMAND...
// Runs a command under a seccomp filter that answers userfaultfd(2) with an error number, as container runtimes do. With
// --no-device /dev/userfaultfd is of no use either: in a mount namespace of its own, /dev/null lies over it.

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "seccomp_launcher: %s: %s\n", what, strerror(errno));
    return 125;
}

static int hide_device(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    int hidden = mount("/dev/null", "/dev/userfaultfd", NULL, MS_BIND, NULL);
    // A system without the device has nothing to hide.
    return hidden < 0 && errno == ENOENT ? 0 : hidden;
}

// Without a look at the architecture, which a filter for safety would need: the commands are all of this one.
static int filter_userfaultfd(unsigned error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = sizeof program / sizeof *program, .filter = program };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int main(int count, char **arguments)
{
    int command = count > 2 && strcmp(arguments[2], "--no-device") == 0 ? 3 : 2;
    if (count <= command) {
        fprintf(stderr, "usage: seccomp_launcher ERRNO [--no-device] COMMAND...\n");
        return 125;
    }
    if (command == 3 && hide_device() < 0)
        return fail("cannot hide the device");
    if (filter_userfaultfd((unsigned)atoi(arguments[1])) < 0)
        return fail("cannot set the filter");
    execvp(arguments[command], arguments + command);
    return fail(arguments[command]);
}
