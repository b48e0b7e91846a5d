// SPDX-License-Identifier: Apache-2.0
// Linked into a library that only 'make bench-guard' uses, with --wrap=uffd_copy: each copy takes a while longer, so that the
// guard is seen to notice.
#include <stdint.h>
#include <time.h>

int64_t __real_uffd_copy(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode);
int64_t __wrap_uffd_copy(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode);

static const int64_t DELAY_NANOSECONDS = 20000;

// No lock; any thread and signal handlers.
static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// No lock; any thread and signal handlers.
int64_t __wrap_uffd_copy(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode)
{
    int64_t end = now() + DELAY_NANOSECONDS;
    while (now() < end)
        ;
    return __real_uffd_copy(fd, dst, src, length, mode);
}
