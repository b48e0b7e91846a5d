// SPDX-License-Identifier: Apache-2.0
// The stress test in the design of the kernel's own: threads that lock and count in random pages of one area while its missing
// pages are copied from another, by a handler and by racing copiers; some pages are write-protected all the time. Each page
// has its counter at both ends, so that a page that is torn, lost or filled twice shows.
#include "test_faults.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROUND_POLL = 1, ROUND_WRITE_PROTECT = 2, ROUND_HANDLER_HERE = 4, MOST_THREADS = 32, MESSAGES = 8 };
enum { STAT_ERRORS, STAT_COUNTS, STAT_MISSING, STAT_PROTECTED, STAT_COPIED, STAT_PRESENT, STATS };

struct cell {
    _Atomic(uint32_t) lock;
    uint32_t unused;
    _Atomic(uint64_t) count;
};

struct stress {
    char *areas[2];
    size_t page;
    long pages;
    int threads;
    int to;                 // index of the area that is registered in this round
    int fd;
    int flags;
    long ms;
    _Atomic(bool) finished; // the lockers and copiers end
    _Atomic(bool) stopped;  // the handlers end
    _Atomic(int) copying;   // copiers that have not been through their share yet
    _Atomic(int64_t) stats[STATS];
    _Atomic(uint64_t) expected[];
};

struct share {
    struct stress *stress;
    int index;
    pthread_t thread;
    bool started;
};

static void add(struct stress *s, int stat)
{
    atomic_fetch_add_explicit(&s->stats[stat], 1, memory_order_relaxed);
}

static char *page_of(const struct stress *s, int area, long page)
{
    return s->areas[area] + (size_t)page * s->page;
}

static _Atomic(uint64_t) *tail_of(const struct stress *s, char *page)
{
    return (_Atomic(uint64_t) *)(void *)(page + s->page - sizeof(uint64_t));
}

static void *locker(void *argument)
{
    struct share *share = argument;
    struct stress *s = share->stress;
    unsigned seed = (unsigned)share->index * 7919U + 17U;
    while (!atomic_load(&s->finished)) {
        long number = rand_r(&seed) % s->pages;
        char *page = page_of(s, s->to, number);
        struct cell *cell = (void *)page;
        uint32_t free_lock = 0;
        while (!atomic_compare_exchange_weak(&cell->lock, &free_lock, 1)) {
            free_lock = 0;
            sched_yield();
            if (atomic_load(&s->finished))
                return NULL;
        }
        uint64_t count = atomic_load(&cell->count);
        if (count != atomic_load(&s->expected[number]) || count != atomic_load(tail_of(s, page)))
            add(s, STAT_ERRORS);
        atomic_store(&s->expected[number], count + 1);
        atomic_store(&cell->count, count + 1);
        atomic_store(tail_of(s, page), count + 1);
        atomic_store(&cell->lock, 0);
        add(s, STAT_COUNTS);
    }
    return NULL;
}

static void wake(struct stress *s, char *page)
{
    struct uffdio_range range = { (uintptr_t)page, s->page };
    if (ioctl(s->fd, UFFDIO_WAKE, &range) < 0)
        add(s, STAT_ERRORS);
}

static bool protect(struct stress *s, char *page, bool on)
{
    struct uffdio_writeprotect request = {
        .range = { (uintptr_t)page, s->page }, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0
    };
    if (ioctl(s->fd, UFFDIO_WRITEPROTECT, &request) == 0)
        return true;
    if (errno != EAGAIN && errno != ENOENT)
        add(s, STAT_ERRORS);
    return false;
}

// True if this call brought the page, false if it was there.
static bool copy(struct stress *s, long number, bool protected_copy)
{
    char *page = page_of(s, s->to, number);
    struct uffdio_copy request = {
        .dst = (uintptr_t)page, .src = (uintptr_t)page_of(s, !s->to, number), .len = s->page,
        .mode = protected_copy ? UFFDIO_COPY_MODE_WP : 0,
    };
    while (ioctl(s->fd, UFFDIO_COPY, &request) < 0) {
        if (errno == EEXIST) {
            wake(s, page);
            add(s, STAT_PRESENT);
            return false;
        }
        if (errno != EAGAIN) {
            add(s, STAT_ERRORS);
            return false;
        }
        request.copy = 0;
    }
    add(s, STAT_COPIED);
    return true;
}

static void nap(long microseconds)
{
    struct timespec time = { .tv_nsec = microseconds * 1000 };
    nanosleep(&time, NULL);
}

// Copies its share of the pages behind the handler's back, then protects random pages until the round is over.
static void *copier(void *argument)
{
    struct share *share = argument;
    struct stress *s = share->stress;
    bool protecting = s->flags & ROUND_WRITE_PROTECT;
    unsigned seed = (unsigned)share->index + 4711U;
    int64_t end = test_now_ms() + s->ms;
    for (long number = share->index; number < s->pages; number += s->threads) {
        if (copy(s, number, protecting && rand_r(&seed) % 2) && rand_r(&seed) % 8 == 0 && copy(s, number, false))
            add(s, STAT_ERRORS);  // the second copy of the same page has to be refused
        if (rand_r(&seed) % 16 == 0)
            nap(50);
    }
    atomic_fetch_sub(&s->copying, 1);
    while (!atomic_load(&s->finished) && (test_now_ms() < end || atomic_load(&s->copying) > 0)) {
        if (protecting)
            protect(s, page_of(s, s->to, rand_r(&seed) % s->pages), true);
        nap(100);
    }
    atomic_store(&s->finished, true);
    return NULL;
}

static void resolve(struct stress *s, const struct uffd_msg *message)
{
    if (message->event != UFFD_EVENT_PAGEFAULT) {
        add(s, STAT_ERRORS);
        return;
    }
    char *base = s->areas[s->to];
    long number = (long)((message->arg.pagefault.address - (uintptr_t)base) / s->page);
    if (message->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
        add(s, STAT_PROTECTED);
        while (!protect(s, page_of(s, s->to, number), false) && !atomic_load(&s->stopped))
            sched_yield();
    } else {
        add(s, STAT_MISSING);
        copy(s, number, false);
    }
}

static void *handler(void *argument)
{
    struct share *share = argument;
    struct stress *s = share->stress;
    struct uffd_msg messages[MESSAGES];
    while (!atomic_load(&s->stopped)) {
        if (s->flags & ROUND_POLL) {
            struct pollfd ready = { .fd = s->fd, .events = POLLIN };
            if (poll(&ready, 1, 50) > 0 && !(ready.revents & POLLIN))
                add(s, STAT_ERRORS);
        }
        ssize_t got = read(s->fd, messages, sizeof messages);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            add(s, STAT_ERRORS);
        for (ssize_t i = 0; i < got / (ssize_t)sizeof messages[0]; i++)
            resolve(s, &messages[i]);
    }
    return NULL;
}

static void nothing(int number)
{
    (void)number;
}

// Starts one thread for each processor. Signals are blocked but for the one that ends a blocking read.
static int start_all(struct stress *s, void *(*body)(void *), struct share *shares)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGRTMIN + 9);
    struct sigaction wake_up = { .sa_handler = nothing };
    sigemptyset(&wake_up.sa_mask);
    sigaction(SIGRTMIN + 9, &wake_up, NULL);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = 0;
    for (int i = 0; i < s->threads && !failed; i++) {
        shares[i] = (struct share){ .stress = s, .index = i };
        failed = pthread_create(&shares[i].thread, NULL, body, &shares[i]);
        shares[i].started = !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -failed;
}

// Joins until the deadline; blocking reads are interrupted again and again, because a signal can come too early.
static int join_all(struct stress *s, struct share *shares, bool interrupt, int64_t deadline)
{
    for (int i = 0; i < s->threads; i++) {
        while (shares[i].started && pthread_tryjoin_np(shares[i].thread, NULL) != 0) {
            if (test_now_ms() > deadline)
                return -ETIMEDOUT;
            if (interrupt)
                pthread_kill(shares[i].thread, SIGRTMIN + 9);
            nap(200);
        }
        shares[i].started = false;
    }
    return 0;
}

// Two areas of so many pages. The first one has to be there; its counters start at 1. The handle, or -errno.
TEST_NATIVE(jlong, stressNew, STATIC, jlong first, jlong second, jlong length, jint page)
{
    long pages = (long)(length / page);
    struct stress *s = calloc(1, sizeof *s + (size_t)pages * sizeof s->expected[0]);
    if (!s)
        return -ENOMEM;
    s->areas[0] = test_at(first);
    s->areas[1] = test_at(second);
    s->page = (size_t)page;
    s->pages = pages;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    s->threads = processors < 2 ? 2 : processors > MOST_THREADS ? MOST_THREADS : (int)processors;
    for (long i = 0; i < pages; i++) {
        char *at = page_of(s, 0, i);
        atomic_store(&((struct cell *)(void *)at)->count, 1);
        atomic_store(tail_of(s, at), 1);
        atomic_store(&s->expected[i], 1);
    }
    return (jlong)(uintptr_t)s;
}

// One round into area `to`, which is registered with `fd`. -ETIMEDOUT: something hangs, and the memory has to stay.
TEST_NATIVE(jint, stressRound, STATIC, jlong handle, jint to, jint fd, jint flags, jlong ms, jlong deadline_ms)
{
    static struct share lockers[MOST_THREADS], copiers[MOST_THREADS], handlers[MOST_THREADS];
    struct stress *s = test_at(handle);
    s->to = to;
    s->fd = fd;
    s->flags = flags;
    s->ms = (long)ms;
    atomic_store(&s->finished, false);
    atomic_store(&s->stopped, false);
    atomic_store(&s->copying, s->threads);
    int64_t deadline = test_now_ms() + deadline_ms;
    bool here = flags & ROUND_HANDLER_HERE;
    int failed = here ? start_all(s, handler, handlers) : 0;
    if (!failed)
        failed = start_all(s, locker, lockers);
    if (!failed)
        failed = start_all(s, copier, copiers);
    if (!failed)
        failed = join_all(s, copiers, false, deadline);
    atomic_store(&s->finished, true);
    if (!failed)
        failed = join_all(s, lockers, false, deadline);
    atomic_store(&s->stopped, true);
    if (!failed && here)
        failed = join_all(s, handlers, true, deadline);
    return failed;
}

// Pages of an area whose counters are not what was counted.
TEST_NATIVE(jlong, stressVerify, STATIC, jlong handle, jint area)
{
    struct stress *s = test_at(handle);
    long wrong = 0;
    for (long i = 0; i < s->pages; i++) {
        char *at = page_of(s, area, i);
        uint64_t expected = atomic_load(&s->expected[i]);
        if (atomic_load(&((struct cell *)(void *)at)->count) != expected || atomic_load(tail_of(s, at)) != expected)
            wrong++;
    }
    return wrong;
}

TEST_NATIVE(jlong, stressStat, STATIC, jlong handle, jint stat)
{
    return atomic_load(&((struct stress *)test_at(handle))->stats[stat]);
}

TEST_NATIVE(void, stressFree, STATIC, jlong handle)
{
    free(test_at(handle));
}
