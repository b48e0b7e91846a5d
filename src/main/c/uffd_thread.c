// SPDX-License-Identifier: Apache-2.0
// The thread is a plain pthread: it never attaches to the JVM, so no safepoint waits for it and no JVM exit either, and it has
// all signals blocked, so the JVM's never land on it.
#include "uffd_thread.h"

#include "uffd_abi.h"
#include "uffd_arch.h"
#include "uffd_pager.h"

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

struct uffd_thread {
    struct uffd_pager *pager;
    int stop;  // an eventfd: readable when the loop has to end
    pthread_t id;
};

// No lock; the engine's thread. Reads what has come, many faults a call, and resolves each. The descriptor has no EVENT_*
// feature, so there is nothing but faults.
static void resolve_batch(struct uffd_pager *pager)
{
    struct uffd_msg messages[BATCH];
    ssize_t bytes = read(pager->fd, messages, sizeof messages);
    if (bytes < 0) {
        if (errno != EAGAIN && errno != EINTR)
            uffd_pager_abort(pager, pager->base, -errno);
        return;
    }
    for (size_t i = 0; i < (size_t)bytes / sizeof messages[0]; i++) {
        uintptr_t address = (uintptr_t)messages[i].arg.pagefault.address;
        int failed = messages[i].event == UFFD_EVENT_PAGEFAULT ? uffd_pager_fault(pager, address) : 0;
        if (failed)
            uffd_pager_abort(pager, address, failed);
    }
}

// No lock; the engine's thread. Ends only by the eventfd: whoever stops it has made sure that no page is missing.
static void *run(void *argument)
{
    struct uffd_thread *self = argument;
    prctl(PR_SET_NAME, "userfaultfd", 0, 0, 0);
    struct pollfd ready[2] = { { .fd = self->stop, .events = POLLIN }, { .fd = self->pager->fd, .events = POLLIN } };
    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            uffd_pager_abort(self->pager, self->pager->base, -errno);
        if (ready[0].revents)
            return NULL;
        if (ready[1].revents & POLLIN)
            resolve_batch(self->pager);
        else if (ready[1].revents)
            uffd_pager_abort(self->pager, self->pager->base, -EBADF);
    }
}

// No lock; any thread. A new thread takes its signal mask from the one that makes it.
static int create_thread(struct uffd_thread *thread)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);  // on Linux the calling thread's own; pthread_sigmask has a new symbol version
    if (!error)
        error = pthread_create(&thread->id, &attributes, run, thread);
    sigprocmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

// No lock; any thread. The pager lives until uffd_thread_stop has returned.
int uffd_thread_start(struct uffd_pager *pager, struct uffd_thread **result)
{
    struct uffd_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return -ENOMEM;
    thread->pager = pager;
    thread->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = thread->stop < 0 ? -errno : create_thread(thread);
    if (failed) {
        if (thread->stop >= 0)
            close(thread->stop);
        free(thread);
        return failed;
    }
    *result = thread;
    return 0;
}

// Waits for the thread's last fault; one thread, not the engine's. An eventfd's write cannot fail with room for 2^64 - 2.
void uffd_thread_stop(struct uffd_thread *thread)
{
    uint64_t one = 1;
    if (write(thread->stop, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(thread->id, NULL);
    close(thread->stop);
    free(thread);
}
