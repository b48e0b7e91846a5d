// SPDX-License-Identifier: Apache-2.0
// What a page fault costs in plain C: the yardstick that stands beside the Java figures in one run. Uses nothing of the library.
//   bench_faults CASE PAGES      prints nanoseconds a page
// Cases: inline, inline2 (two threads), inline16 (64 KiB a fault), copy16 (UFFDIO_COPY of 64 KiB pieces, no faults), copy1,
// anonymous (no userfaultfd), block, poll, busy (a handler thread that reads blocking, polls, or spins), and with "+load" behind a
// name the same while both processors are kept busy by threads that spin.
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static size_t page;
static size_t around;
static int uffd;
static char *region;
static char *source;
static size_t length;
static atomic_int stop;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void open_uffd(int flags, uint64_t features)
{
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags | 1);
    struct uffdio_api api = { .api = UFFD_API, .features = features };
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
        fail("userfaultfd");
    struct uffdio_register request = { .range = { (uintptr_t)region, length }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (ioctl(uffd, UFFDIO_REGISTER, &request) < 0)
        fail("register");
}

static void copy(uintptr_t address, size_t bytes)
{
    size_t offset = (address - (uintptr_t)region) & ~(bytes - 1);
    struct uffdio_copy request = { .dst = (uintptr_t)region + offset, .src = (uintptr_t)source + offset, .len = bytes };
    if (ioctl(uffd, UFFDIO_COPY, &request) < 0 && errno != EEXIST)
        fail("copy");
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    int kept = errno;
    copy((uintptr_t)info->si_addr, around);
    errno = kept;
}

static void *handle(void *argument)
{
    const char *how = argument;
    for (;;) {
        struct uffd_msg messages[16];
        if (how[0] == 'p') {
            struct pollfd ready = { .fd = uffd, .events = POLLIN };
            poll(&ready, 1, -1);
        }
        ssize_t bytes = read(uffd, messages, sizeof messages);
        for (ssize_t i = 0; i < bytes / (ssize_t)sizeof messages[0]; i++)
            copy((uintptr_t)messages[i].arg.pagefault.address, around);
    }
    return NULL;
}

static void *spin(void *argument)
{
    volatile uint64_t *counter = argument;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        ++*counter;
    return NULL;
}

struct part {
    size_t from, to;
    int64_t sum;
};

static void *touch(void *argument)
{
    struct part *part = argument;
    for (size_t at = part->from; at < part->to; at += page)
        part->sum += ((volatile char *)region)[at];
    return NULL;
}

static void start_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0)
        fail("pthread_create");
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    char name[32] = "";
    strncpy(name, arguments[1], sizeof name - 1);
    page = (size_t)getpagesize();
    around = page;
    length = (size_t)atol(arguments[2]) * page;
    region = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    source = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED || source == MAP_FAILED)
        fail("mmap");
    memset(source, 1, length);
    char *load = strchr(name, '+');
    static uint64_t counters[4][16];
    if (load) {
        *load = 0;
        for (int i = 0; i < (int)sysconf(_SC_NPROCESSORS_ONLN); i++)
            start_thread(spin, counters[i % 4]);
    }
    if (strcmp(name, "inline") == 0 || strcmp(name, "inline2") == 0 || strcmp(name, "inline16") == 0) {
        around = strcmp(name, "inline16") == 0 ? 16 * page : page;
        struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
        sigaction(SIGBUS, &action, NULL);
        open_uffd(0, UFFD_FEATURE_SIGBUS);
    } else if (strcmp(name, "copy16") == 0 || strcmp(name, "copy1") == 0) {
        open_uffd(0, 0);
        size_t bytes = strcmp(name, "copy16") == 0 ? 16 * page : page;
        int64_t start = now();
        for (size_t at = 0; at < length; at += bytes)
            copy((uintptr_t)region + at, bytes);
        printf("%.1f\n", (double)(now() - start) / (double)(length / page));
        return 0;
    } else if (strcmp(name, "anonymous") != 0) {
        open_uffd(strcmp(name, "block") == 0 ? 0 : O_NONBLOCK, 0);
        start_thread(handle, name);
    }
    struct part whole = { 0, length, 0 }, second = { length / 2, length, 0 };
    pthread_t thread;
    int two = strcmp(name, "inline2") == 0;
    if (two)
        whole.to = length / 2;
    int64_t start = now();
    if (two && pthread_create(&thread, NULL, touch, &second) != 0)
        fail("pthread_create");
    touch(&whole);
    if (two)
        pthread_join(thread, NULL);
    int64_t time = now() - start;
    if (whole.sum + second.sum != (strcmp(name, "anonymous") == 0 ? 0 : (int64_t)(length / page)))
        return 3;
    printf("%.1f\n", (double)time / (double)(length / page));
    return 0;
}
