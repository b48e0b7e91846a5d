// SPDX-License-Identifier: Apache-2.0
// A thread in read(2) of a blocking userfaultfd can be woken only by an event or by a signal: poll(2) answers POLLERR on such
// a descriptor, and close(2) wakes nobody (fs/userfaultfd.c). So whoever may block is noted in a list, and closing sends a
// signal that does nothing to the threads noted for its descriptor, until all have left. The JDK ends its blocked file and
// socket calls in the same way. A signal that comes between the note and the call is lost: the closer sends it again.
#include "uffd_wait.h"

#include "uffd_abi.h"
#include "uffd_copies.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct waiter {
    struct waiter *next;
    int fd;
    pid_t thread;
    int unblocked;  // the wake signal was blocked in this thread before
};

static pthread_mutex_t waiters_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *waiters;  // on the stacks of the threads that wait
static int wake_signal;         // chosen under the lock

// Signal handler; does nothing, its arrival ends the call.
static void on_wake_signal(int number)
{
    (void)number;
}

// Holds waiters_lock. Takes the highest real-time signal that nobody handles, or that another copy of this library has for the same,
// below the two that the JDK uses for itself.
static int choose_signal(void)
{
    for (int number = SIGRTMAX - 3; wake_signal == 0 && number > SIGRTMIN; number--) {
        struct sigaction old;
        if (sigaction(number, NULL, &old) < 0 || (old.sa_flags & SA_SIGINFO))
            continue;
        if (uffd_is_another_copy((void *)(uintptr_t)old.sa_handler))
            wake_signal = number;
        if (old.sa_handler != SIG_DFL)
            continue;
        struct sigaction nothing = { .sa_handler = on_wake_signal };  // no SA_RESTART: the call has to return EINTR
        sigemptyset(&nothing.sa_mask);
        if (sigaction(number, &nothing, NULL) == 0)
            wake_signal = number;
    }
    return wake_signal != 0 ? 0 : -EUSERS;
}

// No lock; the calling thread, whose mask alone Linux changes. Whether the wake signal was blocked before. (glibc has pthread_sigmask
// under a new version.)
static int mask_wake_signal(int how)
{
    sigset_t signal, before;
    sigemptyset(&signal);
    sigaddset(&signal, wake_signal);
    sigprocmask(how, &signal, &before);
    return sigismember(&before, wake_signal);
}

// Takes waiters_lock for a moment; any thread, not in a signal handler. The waiter lives until leave(). A thread that has all signals
// blocked, as native ones may that attach to the JVM, lets this one through, or nothing could end its call.
static int enter(struct waiter *self, int fd)
{
    self->fd = fd;
    self->thread = (pid_t)syscall(SYS_gettid);
    pthread_mutex_lock(&waiters_lock);
    int failed = choose_signal();
    if (!failed) {
        self->next = waiters;
        waiters = self;
    }
    pthread_mutex_unlock(&waiters_lock);
    self->unblocked = !failed && mask_wake_signal(SIG_UNBLOCK);
    return failed;
}

// Takes waiters_lock for a moment; the thread that entered.
static void leave(struct waiter *self)
{
    pthread_mutex_lock(&waiters_lock);
    struct waiter **link = &waiters;
    while (*link != self)
        link = &(*link)->next;
    *link = self->next;
    pthread_mutex_unlock(&waiters_lock);
    if (self->unblocked)
        mask_wake_signal(SIG_BLOCK);
}

// Blocks if the descriptor does, without a lock; any thread. -EINTR after a signal: the caller looks whether it was closed.
int uffd_read(int fd, void *messages, int capacity)
{
    struct waiter self;
    int failed = enter(&self, fd);
    if (failed)
        return failed;
    ssize_t bytes = read(fd, messages, (size_t)capacity * sizeof(struct uffd_msg));
    int result = bytes < 0 ? -errno : (int)((size_t)bytes / sizeof(struct uffd_msg));
    leave(&self);
    return result;
}

// Blocks, without a lock; any thread. How many of two descriptors are ready or broken, as poll(2) tells in their revents; 0
// after the time, and for ever with a negative one. Closing the first one ends it; the second may be -1.
static int await(struct pollfd *ready, int64_t nanoseconds)
{
    struct waiter self;
    int failed = enter(&self, ready[0].fd);
    if (failed)
        return failed;
    int64_t seconds = nanoseconds / 1000000000;
    if (seconds > INT32_MAX)
        seconds = INT32_MAX;  // time_t has 32 bits on some systems
    struct timespec time = { .tv_sec = (time_t)seconds, .tv_nsec = (long)(nanoseconds % 1000000000) };
    int result = ppoll(ready, 2, nanoseconds < 0 ? NULL : &time, NULL);
    if (result < 0)
        result = -errno;
    leave(&self);
    return result;
}

// Blocks, without a lock; any thread. 1 when there is something to read, 0 after the time, -EINVAL for a blocking descriptor.
int uffd_poll(int fd, int64_t nanoseconds)
{
    return uffd_poll_or_end(fd, -1, nanoseconds);
}

// Blocks, without a lock; any thread. Like uffd_poll, and 2 (added to it) when the process of pidfd has ended.
int uffd_poll_or_end(int fd, int pidfd, int64_t nanoseconds)
{
    struct pollfd ready[2] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
    int result = await(ready, nanoseconds);
    if (result <= 0)
        return result;
    if (ready[0].revents && !(ready[0].revents & POLLIN))
        return ready[0].revents & POLLNVAL ? -EBADF : -EINVAL;
    return (ready[0].revents ? 1 : 0) | (ready[1].revents ? 2 : 0);
}

// Blocks, without a lock; any thread. For sockets: 1 when a call to receive (or, with output, to send) would not block or would
// tell an error, 0 after the time.
int uffd_poll_socket(int fd, int output, int64_t nanoseconds)
{
    struct pollfd ready[2] = { { .fd = fd, .events = output ? POLLOUT : POLLIN }, { .fd = -1 } };
    int result = await(ready, nanoseconds);
    return result > 0 && (ready[0].revents & POLLNVAL) ? -EBADF : result;
}

// Takes waiters_lock; any thread, not in a signal handler. The threads noted are alive: they cannot leave while it is held.
int uffd_interrupt(int fd)
{
    int woken = 0;
    pthread_mutex_lock(&waiters_lock);
    for (struct waiter *each = waiters; each; each = each->next) {
        if (each->fd == fd && syscall(SYS_tgkill, getpid(), each->thread, wake_signal) == 0)
            woken++;
    }
    pthread_mutex_unlock(&waiters_lock);
    return woken;
}
