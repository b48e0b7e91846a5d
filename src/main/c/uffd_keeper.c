// SPDX-License-Identifier: Apache-2.0
#include "uffd_keeper.h"

#include "uffd_abi.h"
#include "uffd_arch.h"
#include "uffd_fill.h"
#include "uffd_memory.h"
#include "uffd_spawn.h"
#include "uffd_sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

UFFD_OLD_SYMBOL(pthread_create);
UFFD_OLD_SYMBOL(pthread_join);
UFFD_OLD_SYMBOL(pthread_attr_setstacksize);

enum { STACK_BYTES = 256 * 1024, BATCH = 32, PAUSE_MILLISECONDS = 200 };
static const int64_t MINUTE = INT64_C(60000000000);

struct uffd_keeper {
    int fd;
    uintptr_t base;
    size_t length;
    size_t page;
    char **arguments;
    char *words;
    int64_t most;
    int64_t ready;
    int on_failure;
    int stop;                        // an eventfd: readable when the thread has to end
    int64_t minute_began;
    int64_t in_minute;               // restarts
    pthread_t thread;
    pthread_mutex_t child_lock;      // held while the child's socket is made, closed, written to, or read
    struct uffd_child child;
    int serves;                      // the child has said so
    char record[UFFD_RECORD_BYTES];  // of the child's, as far as it has come
    size_t received;
    pthread_mutex_t lock;            // guards what follows; held for moments
    struct uffd_keeper_stats stats;
    char reason[UFFD_RECORD_BYTES - UFFD_RECORD_TEXT];
};

// Holds the child's lock; any thread. A child that dies with a message unread is told first, and what it told itself after that.
static ssize_t read_record(struct uffd_keeper *keeper)
{
    ssize_t bytes;
    do
        bytes = recv(keeper->child.control, keeper->record + keeper->received, sizeof keeper->record - keeper->received, MSG_DONTWAIT);
    while (bytes < 0 && errno == ECONNRESET);
    return bytes;
}

// Takes the keeper's lock, holds the child's; any thread. 1 when a whole record has come, 0 for a part or none, -EPIPE at the end.
static int receive_one(struct uffd_keeper *keeper)
{
    ssize_t bytes = read_record(keeper);
    if (bytes <= 0)
        return bytes < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
    keeper->received += (size_t)bytes;
    if (keeper->received < sizeof keeper->record)
        return 0;
    keeper->received = 0;
    if (keeper->record[0] == UFFD_CHILD_READY) {
        keeper->serves = 1;
        return 1;
    }
    pthread_mutex_lock(&keeper->lock);
    if (keeper->stats.failures++ == 0) {
        memcpy(&keeper->stats.failed_at, keeper->record + 8, sizeof keeper->stats.failed_at);
        memcpy(keeper->reason, keeper->record + UFFD_RECORD_TEXT, sizeof keeper->reason - 1);
    }
    pthread_mutex_unlock(&keeper->lock);
    return 1;
}

// Takes the keeper's locks; the keeper's thread. -EPIPE when the child has ended and all that it told is known.
static int receive(struct uffd_keeper *keeper)
{
    pthread_mutex_lock(&keeper->child_lock);
    int received = receive_one(keeper);
    pthread_mutex_unlock(&keeper->child_lock);
    return received;
}

// Takes the keeper's locks; one thread. The child has ended, or shall.
static void end_child(struct uffd_keeper *keeper)
{
    pthread_mutex_lock(&keeper->child_lock);
    keeper->serves = 0;
    uffd_child_leave(&keeper->child);
    pthread_mutex_unlock(&keeper->child_lock);
    int status = uffd_child_end(&keeper->child);
    pthread_mutex_lock(&keeper->lock);
    keeper->stats.child_status = status;
    keeper->stats.pid = 0;
    pthread_mutex_unlock(&keeper->lock);
}

// Blocks until the child serves; one thread. 0, or -ECANCELED when the keeper is stopped, or why there is none.
static int start_child(struct uffd_keeper *keeper)
{
    pthread_mutex_lock(&keeper->child_lock);
    int failed = uffd_child_start(keeper->arguments, keeper->fd, &keeper->child);
    keeper->received = 0;
    pthread_mutex_unlock(&keeper->child_lock);
    if (failed)
        return failed;
    pthread_mutex_lock(&keeper->lock);
    keeper->stats.pid = keeper->child.pid;
    pthread_mutex_unlock(&keeper->lock);
    int64_t began = uffd_nanoseconds();
    struct pollfd ready[2] = { { .fd = keeper->stop, .events = POLLIN }, { .fd = keeper->child.control, .events = POLLIN } };
    while (!keeper->serves) {
        int64_t left = (keeper->ready - (uffd_nanoseconds() - began)) / 1000000;
        int polled = left <= 0 ? 0 : poll(ready, 2, left > 1000 ? 1000 : (int)left);
        failed = left <= 0 ? -ETIMEDOUT : ready[0].revents ? -ECANCELED : 0;
        if (!failed && polled > 0 && ready[1].revents)
            failed = receive(keeper) < 0 ? -ECHILD : 0;
        if (failed) {
            end_child(keeper);
            return failed;
        }
    }
    return 0;
}

// Takes the keeper's lock; the keeper's thread. Whoever waits for a page now gets the pattern, until the region is given up.
static void serve_pattern(struct uffd_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->stats.state = UFFD_KEEPER_GAVE_UP;
    pthread_mutex_unlock(&keeper->lock);
    uint64_t *pattern = mmap(NULL, keeper->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pattern == MAP_FAILED)
        abort();
    for (size_t i = 0; i < keeper->page / sizeof *pattern; i++)
        pattern[i] = UINT64_C(0xFA17EDFA17EDFA17);
    uffd_wake(keeper->fd, keeper->base, keeper->length);
    struct pollfd ready[2] = { { .fd = keeper->stop, .events = POLLIN }, { .fd = keeper->fd, .events = POLLIN } };
    while (poll(ready, 2, -1) < 0 || !ready[0].revents) {
        struct uffd_msg messages[BATCH];
        ssize_t bytes = read(keeper->fd, messages, sizeof messages);
        for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof messages[0]; i++) {
            uint64_t page = messages[i].arg.pagefault.address & ~(uint64_t)(keeper->page - 1);
            if (uffd_copy(keeper->fd, page, (uintptr_t)pattern, keeper->page, 0) < 0)
                uffd_wake(keeper->fd, page, keeper->page);
        }
    }
    munmap(pattern, keeper->page);
}

// No lock; the keeper's thread. Whether one more child may be started: as many in a minute, and as many in a row that do not
// come to serve, which may take longer than a minute.
static int may_start(struct uffd_keeper *keeper, int64_t failed_starts)
{
    int64_t now = uffd_nanoseconds();
    if (now - keeper->minute_began > MINUTE) {
        keeper->minute_began = now;
        keeper->in_minute = 0;
    }
    return ++keeper->in_minute <= keeper->most && failed_starts < keeper->most;
}

// Takes the keeper's lock; the keeper's thread. What the dead child had read is told again to its successor, once all are
// woken. False when the limit is reached; a stopped keeper is left without a child.
static int restart(struct uffd_keeper *keeper)
{
    int64_t died = uffd_nanoseconds();
    end_child(keeper);
    struct pollfd stop = { .fd = keeper->stop, .events = POLLIN };
    for (int64_t failed_starts = 0;; failed_starts++) {
        if (!may_start(keeper, failed_starts))
            return 0;
        // What is in the way of one start may be gone at the next, but not at once.
        if (failed_starts > 0 && poll(&stop, 1, PAUSE_MILLISECONDS) > 0)
            return 1;
        int failed = start_child(keeper);
        if (failed == -ECANCELED)
            return 1;
        if (!failed)
            break;
    }
    uffd_wake(keeper->fd, keeper->base, keeper->length);
    pthread_mutex_lock(&keeper->lock);
    keeper->stats.restarts++;
    keeper->stats.recovery = uffd_nanoseconds() - died;
    pthread_mutex_unlock(&keeper->lock);
    return 1;
}

// No lock; the keeper's thread. By write(2): the lock of stderr may be held by a thread that waits for a page.
static _Noreturn void give_up(const struct uffd_keeper *keeper)
{
    char line[300];
    int length = snprintf(line, sizeof line,
                          "userfaultfd: the pager process of the region at 0x%llx has ended or failed to start too often (restarts: %lld);"
                          " its pages cannot be had any more, so this process ends\n",
                          (unsigned long long)keeper->base, (long long)keeper->most);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        abort();
    abort();
}

// Takes the keeper's lock at times; the keeper's thread, which has all signals blocked and never attaches.
static void *run(void *argument)
{
    struct uffd_keeper *keeper = argument;
    prctl(PR_SET_NAME, "userfaultfd-keep", 0, 0, 0);
    struct pollfd ready[2] = { { .fd = keeper->stop, .events = POLLIN } };
    for (;;) {
        ready[1] = (struct pollfd){ .fd = keeper->child.control, .events = POLLIN };
        int polled = poll(ready, 2, -1);
        if (polled > 0 && ready[0].revents) {
            if (keeper->child.pid > 0)
                end_child(keeper);
            return NULL;
        }
        if (polled <= 0 || receive(keeper) >= 0 || restart(keeper))
            continue;
        if (keeper->on_failure == UFFD_FAILURE_FILL) {
            serve_pattern(keeper);
            return NULL;
        }
        give_up(keeper);
    }
}

// No lock; one thread, as in uffd_pager.c: otherwise a huge page of the kernel's could make pages present that were never
// filled.
static int open_region(const struct uffd_keeper *keeper, int memory)
{
    void *base = (void *)keeper->base;
    if (mprotect(base, keeper->length, PROT_NONE) < 0)
        return -errno;
    int result = uffd_memory_register_empty(keeper->fd, base, memory, keeper->length, keeper->page);
    if (mprotect(base, keeper->length, PROT_READ | PROT_WRITE) < 0 && result >= 0)
        result = -errno;
    return result;
}

// No lock; any thread.
static int start_thread(struct uffd_keeper *keeper)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);  // the calling thread's own; a new thread inherits it
    if (!error)
        error = pthread_create(&keeper->thread, &attributes, run, keeper);
    sigprocmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

// No lock; one thread, when the keeper's has ended.
static void release(struct uffd_keeper *keeper)
{
    if (keeper->stop >= 0)
        close(keeper->stop);
    free(keeper->arguments);
    free(keeper->words);
    pthread_mutex_destroy(&keeper->child_lock);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

// No lock; any thread. The words of the command line, copied, and a null pointer behind them.
static int copy_arguments(struct uffd_keeper *keeper, const char *words, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += strlen(words + length) + 1;
    keeper->words = malloc(length);
    keeper->arguments = calloc(count + 1, sizeof *keeper->arguments);
    if (!keeper->words || !keeper->arguments)
        return -ENOMEM;
    memcpy(keeper->words, words, length);
    char *at = keeper->words;
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        keeper->arguments[i] = at;
    return 0;
}

// Blocks until the child serves; any thread. Does not take over the descriptor. A failure leaves the region empty and, when the
// caller has closed the descriptor, not registered; status is then the child's, wait(2), if it ended by itself.
int uffd_keeper_start(const struct uffd_keeper_options *options, struct uffd_keeper **result, int64_t *status)
{
    struct uffd_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return -ENOMEM;
    pthread_mutex_init(&keeper->child_lock, NULL);
    pthread_mutex_init(&keeper->lock, NULL);
    keeper->child.control = -1;
    keeper->fd = (int)options->fd;
    keeper->base = (uintptr_t)options->address;
    keeper->length = (size_t)options->length;
    keeper->page = (size_t)options->page;
    keeper->most = options->restarts;
    keeper->ready = options->ready;
    keeper->on_failure = (int)options->on_failure;
    keeper->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = keeper->stop < 0 ? -errno : 0;
    if (!failed)
        failed = copy_arguments(keeper, (const char *)(uintptr_t)options->arguments, (size_t)options->count);
    if (!failed)
        failed = open_region(keeper, (int)options->memory);
    int64_t began = uffd_nanoseconds();
    keeper->minute_began = began;
    if (!failed)
        failed = start_child(keeper);
    keeper->stats.start = uffd_nanoseconds() - began;
    if (!failed) {
        failed = start_thread(keeper);
        if (failed)
            end_child(keeper);
    }
    *status = keeper->stats.child_status;
    if (failed) {
        uffd_memory_end_registration((void *)keeper->base, keeper->length);
        release(keeper);
        return failed;
    }
    *result = keeper;
    return 0;
}

// Takes the keeper's locks; any thread. Knows of each page that failed before somebody could see it: a serving child tells first, and what
// it told may be unread still.
void uffd_keeper_stats(struct uffd_keeper *keeper, struct uffd_keeper_stats *stats)
{
    pthread_mutex_lock(&keeper->child_lock);
    while (keeper->serves && receive_one(keeper) > 0)
        continue;
    pthread_mutex_unlock(&keeper->child_lock);
    pthread_mutex_lock(&keeper->lock);
    *stats = keeper->stats;
    pthread_mutex_unlock(&keeper->lock);
}

// Takes the lock of the child's socket; any thread. Tells the child runs to load ahead: an offset and a length each, as many as
// one message has room for. All or none: -EAGAIN while there is no child, or it has not read what came before.
int uffd_keeper_ahead(struct uffd_keeper *keeper, const int64_t *runs, size_t bytes)
{
    pthread_mutex_lock(&keeper->child_lock);
    ssize_t sent = keeper->child.control < 0
        ? -1 : send(keeper->child.control, runs, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error = keeper->child.control < 0 || errno == EPIPE || errno == ECONNRESET ? EAGAIN : errno;
    pthread_mutex_unlock(&keeper->child_lock);
    return sent < 0 ? -error : 0;
}

// Takes the keeper's lock; any thread. Why the first page failed, ended by a zero byte. Its length.
int uffd_keeper_reason(const struct uffd_keeper *keeper, char *text, int room)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&keeper->lock;
    pthread_mutex_lock(lock);
    int length = snprintf(text, (size_t)room, "%s", keeper->reason);
    pthread_mutex_unlock(lock);
    return length < room ? length : room - 1;
}

// Waits for the keeper's thread; one thread. An eventfd's write cannot fail with room for 2^64 - 2.
static void stop(struct uffd_keeper *keeper)
{
    uint64_t one = 1;
    if (write(keeper->stop, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(keeper->thread, NULL);
}

// Waits for the keeper's thread; one thread, when every page is there and nobody can discard one. A fault that meets UNREGISTER
// halfway is not woken by it: so once more.
int uffd_keeper_finish(struct uffd_keeper *keeper)
{
    int failed = uffd_unregister(keeper->fd, keeper->base, keeper->length);
    if (failed)
        return failed;
    uffd_wake(keeper->fd, keeper->base, keeper->length);
    uffd_memory_end_registration((void *)keeper->base, keeper->length);
    stop(keeper);
    return 0;
}

// Waits for the keeper's thread; one thread. No reader ever sees a page that was not filled: a mapping that raises SIGBUS comes
// first.
int uffd_keeper_detach(struct uffd_keeper *keeper)
{
    int failed = uffd_memory_retire((void *)keeper->base, keeper->length);
    if (failed)
        return failed;
    uffd_wake(keeper->fd, keeper->base, keeper->length);
    stop(keeper);
    return 0;
}

// No lock; one thread, after finish or detach.
void uffd_keeper_free(struct uffd_keeper *keeper)
{
    release(keeper);
}
