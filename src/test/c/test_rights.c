// SPDX-License-Identifier: Apache-2.0
// Takes rights from the calling thread alone, by the raw system calls: libc's functions would take them from the whole
// process. For threads that are thrown away afterwards.
#include "test_faults.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// The thread loses one capability. Nothing comes back.
TEST_NATIVE(jint, dropCapability, STATIC, jint capability)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    unsigned bit = 1U << (capability % 32);
    data[capability / 32].effective &= ~bit;
    data[capability / 32].permitted &= ~bit;
    data[capability / 32].inheritable &= ~bit;
    return (jint)test_result(syscall(SYS_capset, &header, data));
}

// The thread becomes an ordinary user, with no capability left.
TEST_NATIVE(jint, becomeUser, STATIC, jint id)
{
    long failed = syscall(SYS_setresgid, id, id, id);
    if (failed == 0)
        failed = syscall(SYS_setresuid, id, id, id);
    return (jint)test_result(failed);
}

// A filter answers one system call of this thread with an errno, as a container's profile does.
TEST_NATIVE(jint, refuseSystemCall, STATIC, jint number, jint error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof code / sizeof code[0], code };
    return (jint)test_result(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0));
}

// The number of userfaultfd(2) on this processor.
TEST_NATIVE(jint, userfaultfdNumber, STATIC)
{
    return SYS_userfaultfd;
}
