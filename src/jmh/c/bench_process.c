// SPDX-License-Identifier: Apache-2.0
// bench_process PAGES
// Page faults of this process resolved by another one, in plain C: the yardstick for PagerProcess. Prints the median, the 99th
// percentile and the maximum of single faults, in nanoseconds.
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static size_t page;

// Any thread.
static _Noreturn void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

// Any thread.
static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

// The handler's process: it has a copy of the descriptor and none of the memory.
static _Noreturn void serve(int fd, const char *content)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    for (;;) {
        struct uffd_msg messages[16];
        poll(&ready, 1, -1);
        ssize_t bytes = read(fd, messages, sizeof messages);
        for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof messages[0]; i++) {
            struct uffdio_copy copy = {
                .dst = messages[i].arg.pagefault.address & ~(uint64_t)(page - 1), .src = (uintptr_t)content, .len = page,
            };
            if (ioctl(fd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST)
                fail("UFFDIO_COPY");
        }
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

int main(int count, char **arguments)
{
    size_t pages = count == 2 ? strtoul(arguments[1], NULL, 10) : 0;
    page = (size_t)sysconf(_SC_PAGESIZE);
    int64_t *nanoseconds = calloc(pages ? pages : 1, sizeof *nanoseconds);
    char *content = malloc(page);
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = { .api = UFFD_API };
    if (pages == 0 || !nanoseconds || !content || fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
        fail("bench_process PAGES");
    memset(content, 1, page);
    char *region = mmap(NULL, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct uffdio_register range = {
        .range = { (uintptr_t)region, pages * page }, .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    if (region == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &range) < 0 || mprotect(region, pages * page, PROT_READ) < 0)
        fail("the region");
    pid_t handler = fork();
    if (handler == 0)
        serve(fd, content);
    unsigned long sum = 0;
    for (size_t i = 0; i < pages; i++) {
        int64_t start = now();
        sum += *(volatile unsigned char *)(region + i * page);
        nanoseconds[i] = now() - start;
    }
    kill(handler, SIGKILL);
    waitpid(handler, NULL, 0);
    if (sum != pages)
        fail("wrong pages");
    qsort(nanoseconds, pages, sizeof *nanoseconds, by_size);
    printf("%lld %lld %lld\n", (long long)nanoseconds[pages / 2], (long long)nanoseconds[pages * 99 / 100],
           (long long)nanoseconds[pages - 1]);
    return 0;
}
