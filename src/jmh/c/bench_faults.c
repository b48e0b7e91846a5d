// SPDX-License-Identifier: Apache-2.0
// What a page fault costs in plain C: the yardstick that stands beside the Java figures in one run. Uses nothing of the library.
//   bench_faults ENGINE MEMORY AROUND THREADS PAGES      prints nanoseconds a page
// ENGINE: inline (SIGBUS handler), block, poll, busy (a handler thread that reads blocking, polls, or spins), copy (the ioctl
// alone, no faults), plain (no userfaultfd); with "+load" behind it the same while all processors are kept busy by threads that
// spin, with "+rare" with a millisecond of work before each touch, which is not counted, with "+mask" (inline) in a handler that
// blocks all signals, as the library's has to in front of HotSpot's. MEMORY: anonymous, shared (memfd), continue (memfd with the
// pages in the page cache, UFFDIO_CONTINUE), huge. AROUND: pages for one fault. THREADS: how many touch, each a part of its own.
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

// Long enough for the processor of a handler thread to fall asleep.
static const int64_t WORK = 1000000;

static size_t page;
static size_t window;
static size_t length;
static int uffd;
static int by_continue;
static uint64_t copy_mode;
static char *region;
static char *source;

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

static char *map(int flags, int fd)
{
    char *address = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (address == MAP_FAILED)
        fail("mmap");
    return address;
}

static size_t huge_page(void)
{
    FILE *info = fopen("/proc/meminfo", "r");
    char line[128];
    size_t kilobytes = 0;
    while (info && fgets(line, sizeof line, info)) {
        if (sscanf(line, "Hugepagesize: %zu", &kilobytes) == 1)
            return kilobytes * 1024;
    }
    fail("no huge pages");
    return 0;
}

static void make_memory(const char *kind, size_t pages)
{
    page = strcmp(kind, "huge") == 0 ? huge_page() : (size_t)getpagesize();
    length = pages * page;
    by_continue = strcmp(kind, "continue") == 0;
    if (strcmp(kind, "anonymous") == 0) {
        region = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    } else if (strcmp(kind, "huge") == 0) {
        region = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
    } else {
        int fd = memfd_create("bench", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)length) < 0)
            fail("memfd");
        region = map(MAP_SHARED, fd);
        if (by_continue) {
            source = map(MAP_SHARED, fd);
            memset(source, 1, length);
            return;
        }
    }
    source = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(source, 1, length);
}

static void open_uffd(int flags, uint64_t features)
{
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags | 1);
    struct uffdio_api api = { .api = UFFD_API, .features = features | (by_continue ? UFFD_FEATURE_MINOR_SHMEM : 0) };
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
        fail("userfaultfd");
    struct uffdio_register request = { .range = { (uintptr_t)region, length },
                                       .mode = by_continue ? UFFDIO_REGISTER_MODE_MINOR : UFFDIO_REGISTER_MODE_MISSING };
    if (ioctl(uffd, UFFDIO_REGISTER, &request) < 0)
        fail("register");
}

static void resolve(uintptr_t address)
{
    size_t offset = (address - (uintptr_t)region) & ~(window - 1);
    int done;
    if (by_continue) {
        struct uffdio_continue request = { .range = { (uintptr_t)region + offset, window } };
        done = ioctl(uffd, UFFDIO_CONTINUE, &request);
    } else {
        struct uffdio_copy request = { .dst = (uintptr_t)region + offset, .src = (uintptr_t)source + offset, .len = window,
                                       .mode = copy_mode };
        done = ioctl(uffd, UFFDIO_COPY, &request);
    }
    if (done < 0 && errno != EEXIST)
        fail("resolve");
    struct uffdio_range range = { (uintptr_t)region + offset, window };
    if (done < 0 && ioctl(uffd, UFFDIO_WAKE, &range) < 0)
        fail("wake");
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    int kept = errno;
    resolve((uintptr_t)info->si_addr);
    errno = kept;
}

static void *handle(void *argument)
{
    const char *how = argument;
    for (;;) {
        struct uffd_msg messages[64];
        if (how[0] == 'p') {
            struct pollfd ready = { .fd = uffd, .events = POLLIN };
            poll(&ready, 1, -1);
        }
        ssize_t bytes = read(uffd, messages, sizeof messages);
        for (ssize_t i = 0; i < bytes / (ssize_t)sizeof messages[0]; i++)
            resolve((uintptr_t)messages[i].arg.pagefault.address);
    }
    return NULL;
}

static void *spin(void *argument)
{
    volatile uint64_t *counter = argument;
    for (;;)
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

static pthread_t start_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0)
        fail("pthread_create");
    return thread;
}

static void keep_processors_busy(void)
{
    static uint64_t counters[16][16];
    for (int i = 0; i < (int)sysconf(_SC_NPROCESSORS_ONLN); i++)
        start_thread(spin, counters[i % 16]);
}

static int64_t copy_all(void)
{
    int64_t start = now();
    for (size_t at = 0; at < length; at += window)
        resolve((uintptr_t)region + at);
    return now() - start;
}

static int64_t touch_rarely(int64_t *sum)
{
    int64_t time = 0;
    *sum = 0;
    for (size_t at = 0; at < length; at += page) {
        int64_t end = now() + WORK, start;
        do
            start = now();
        while (start < end);
        *sum += ((volatile char *)region)[at];
        time += now() - start;
    }
    return time;
}

// The first part is this thread's.
static int64_t touch_all(size_t threads, int64_t *sum)
{
    struct part parts[MAX_THREADS] = { { 0, 0, 0 } };
    pthread_t ids[MAX_THREADS];
    size_t each = length / page / threads * page;
    for (size_t i = 0; i < threads; i++)
        parts[i] = (struct part){ i * each, i + 1 < threads ? (i + 1) * each : length, 0 };
    int64_t start = now();
    for (size_t i = 1; i < threads; i++)
        ids[i] = start_thread(touch, &parts[i]);
    touch(&parts[0]);
    *sum = parts[0].sum;
    for (size_t i = 1; i < threads; i++) {
        pthread_join(ids[i], NULL);
        *sum += parts[i].sum;
    }
    return now() - start;
}

int main(int count, char **arguments)
{
    if (count != 6)
        return 2;
    char engine[32] = "";
    strncpy(engine, arguments[1], sizeof engine - 1);
    size_t threads = (size_t)atol(arguments[4]), pages = (size_t)atol(arguments[5]);
    if (threads < 1 || threads > MAX_THREADS)
        return 2;
    make_memory(arguments[2], pages);
    window = (size_t)atol(arguments[3]) * page;
    char *manner = strchr(engine, '+');
    int rarely = manner && strcmp(manner, "+rare") == 0, masked = manner && strcmp(manner, "+mask") == 0;
    if (manner && strcmp(manner, "+load") == 0)
        keep_processors_busy();
    if (manner)
        *manner = 0;
    int64_t expected = (int64_t)pages, sum = expected, time;
    if (strcmp(engine, "inline") == 0) {
        struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
        if (masked)
            sigfillset(&action.sa_mask);
        sigaction(SIGBUS, &action, NULL);
        open_uffd(0, UFFD_FEATURE_SIGBUS);
        copy_mode = UFFDIO_COPY_MODE_DONTWAKE;  // no thread waits for another
    } else if (strcmp(engine, "copy") == 0) {
        open_uffd(0, 0);
        copy_mode = UFFDIO_COPY_MODE_DONTWAKE;
    } else if (strcmp(engine, "plain") == 0) {
        expected = by_continue ? expected : 0;
    } else {
        open_uffd(strcmp(engine, "block") == 0 ? 0 : O_NONBLOCK, 0);
        start_thread(handle, engine);
    }
    if (rarely)
        time = touch_rarely(&sum);
    else
        time = strcmp(engine, "copy") == 0 ? copy_all() : touch_all(threads, &sum);
    if (sum != expected) {
        fprintf(stderr, "the pages sum up to %lld\n", (long long)sum);
        return 3;
    }
    printf("%.1f\n", (double)time / (double)pages);
    return 0;
}
