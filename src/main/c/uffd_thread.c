// SPDX-License-Identifier: Apache-2.0
// The threads are plain pthreads: they never attach to the JVM, so no safepoint waits for them and no JVM exit either, and they
// have all signals blocked, so the JVM's never land on them.
#include "uffd_thread.h"

#include "uffd_abi.h"
#include "uffd_arch.h"
#include "uffd_fill.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

UFFD_OLD_SYMBOL(pthread_create);
UFFD_OLD_SYMBOL(pthread_join);
UFFD_OLD_SYMBOL(pthread_attr_setstacksize);

enum { STACK_BYTES = 256 * 1024, BATCH = 32 };

struct uffd_threads {
    struct uffd_paged *paged;
    int stop;  // an eventfd: readable when the loops have to end
    int count;
    pthread_t ids[];
};

// No lock; an engine's thread. A fault of a region that has ended is woken to see for itself what became of it.
static void resolve(struct uffd_paged *paged, uintptr_t address)
{
    int failed = uffd_fill_fault(paged, address, uffd_stripe_here());
    if (failed < 0 && !atomic_load(&paged->ended))
        uffd_fill_abort(paged, address, failed);
}

// No lock; an engine's thread. Reads what has come, many faults a call, and resolves each; another thread may have been faster.
// The descriptor has no EVENT_* feature, so there is nothing but faults.
static void resolve_batch(struct uffd_paged *paged)
{
    struct uffd_msg messages[BATCH];
    ssize_t bytes = read(paged->fd, messages, sizeof messages);
    if (bytes < 0 && errno != EAGAIN && errno != EINTR)
        uffd_fill_abort(paged, paged->region.base, -errno);
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof messages[0]; i++) {
        if (messages[i].event == UFFD_EVENT_PAGEFAULT)
            resolve(paged, (uintptr_t)messages[i].arg.pagefault.address);
    }
}

// No lock; an engine's thread. Ends only by the eventfd: whoever stops it has made sure that no page is missing.
static void *run(void *argument)
{
    struct uffd_threads *self = argument;
    prctl(PR_SET_NAME, "userfaultfd", 0, 0, 0);
    struct pollfd ready[2] = { { .fd = self->stop, .events = POLLIN }, { .fd = self->paged->fd, .events = POLLIN } };
    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            uffd_fill_abort(self->paged, self->paged->region.base, -errno);
        if (ready[0].revents)
            return NULL;
        if (ready[1].revents & POLLIN)
            resolve_batch(self->paged);
        else if (ready[1].revents)
            uffd_fill_abort(self->paged, self->paged->region.base, -EBADF);
    }
}

// No lock; any thread. A new thread takes its signal mask from the one that makes it.
static int create_threads(struct uffd_threads *threads, int wanted)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);  // on Linux the calling thread's own; pthread_sigmask has a new symbol version
    while (!error && threads->count < wanted) {
        error = pthread_create(&threads->ids[threads->count], &attributes, run, threads);
        if (!error)
            threads->count++;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

// No lock; any thread. The region lives until uffd_threads_stop has returned.
int uffd_threads_start(struct uffd_paged *paged, int count, struct uffd_threads **result)
{
    struct uffd_threads *threads = calloc(1, sizeof *threads + (size_t)count * sizeof threads->ids[0]);
    if (!threads)
        return -ENOMEM;
    threads->paged = paged;
    threads->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = threads->stop < 0 ? -errno : create_threads(threads, count);
    if (failed) {
        uffd_threads_stop(threads);
        return failed;
    }
    *result = threads;
    return 0;
}

// Waits for the threads' last faults; one thread, not the engine's. An eventfd's write cannot fail with room for 2^64 - 2.
void uffd_threads_stop(struct uffd_threads *threads)
{
    uint64_t one = 1;
    if (threads->stop >= 0 && write(threads->stop, &one, sizeof one) == (ssize_t)sizeof one) {
        for (int i = 0; i < threads->count; i++)
            pthread_join(threads->ids[i], NULL);
    }
    if (threads->stop >= 0)
        close(threads->stop);
    free(threads);
}
