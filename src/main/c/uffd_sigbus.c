// SPDX-License-Identifier: Apache-2.0
// Installed once and never taken out (the library is linked -z nodelete, so the code stays). In a JVM it stands in front of
// HotSpot's handler, with that handler's mask, and hands on whatever is not its own. The mask costs some 3 % of a fault, for two
// locked changes in the kernel (docs/performance.md), and is worth it: a profiler's signal waits for the faulting instruction, and
// its sample shows that one.
#include "uffd_sigbus.h"

#include "uffd_abi.h"
#include "uffd_arch.h"
#include "uffd_copies.h"
#include "uffd_inline.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A thread that reads memory on purpose and wants an error instead of the signal. The handler finds it by its thread id:
// thread-local storage of a loaded library may allocate at first use, which a signal handler must not.
struct toucher {
    _Atomic(pid_t) thread;
    uintptr_t from;
    uintptr_t to;
    sigjmp_buf back;
};

// More of them when all are taken, kept for good: a thread may need one to bring the page that another waits for.
struct touchers {
    struct toucher slots[64];
    _Atomic(struct touchers *) more;
};

static struct touchers touchers;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(int) installed;
static struct sigaction previous;  // written once under install_lock, before the handler can run

// Signal handler. What happened to a SIGBUS before this library came, with the mask that its handler asked for, for the time of the
// call: ours has it too, but may have been called by a handler that came later.
static void hand_on(int number, siginfo_t *info, void *context)
{
    int has_handler = (previous.sa_flags & SA_SIGINFO) || (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN);
    if (!has_handler) {
        // The default ends the process, and an ignored fault does too: put it back and let the instruction fault again.
        sigaction(number, &previous, NULL);
        return;
    }
    sigset_t blocked = previous.sa_mask, before;
    if (!(previous.sa_flags & SA_NODEFER))
        sigaddset(&blocked, number);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(number, info, context);
    else
        previous.sa_handler(number);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

// Signal handler. The slot of the calling thread if the fault is in the memory it reads on purpose.
static struct toucher *toucher_of(uintptr_t address)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    for (struct touchers *some = &touchers; some; some = atomic_load(&some->more)) {
        for (size_t i = 0; i < sizeof some->slots / sizeof some->slots[0]; i++) {
            struct toucher *each = &some->slots[i];
            if (atomic_load_explicit(&each->thread, memory_order_acquire) == self && address >= each->from && address < each->to)
                return each;
        }
    }
    return NULL;
}

// Signal handler: system calls and atomics only, errno kept, no thread-local storage, a small frame.
static void on_sigbus(int number, siginfo_t *info, void *context)
{
    int kept_errno = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    // A missing page has an address and no hardware error; a signal that somebody sent has neither.
    int resolved = info->si_code == BUS_ADRERR && uffd_inline_resolve(address, UFFD_PAGE_WAS_PRESENT(context)) == 0;
    if (!resolved) {
        struct toucher *toucher = info->si_code > 0 ? toucher_of(address) : NULL;
        if (toucher)
            siglongjmp(toucher->back, 1);
        hand_on(number, info, context);
    }
    errno = kept_errno;
}

#ifdef UFFD_RAW_SIGACTION
// No lock; any thread. rt_sigaction(2) itself: libc's own may be interposed (libjsig), and would not tell.
static int raw_sigaction(const struct uffd_kernel_sigaction *set, struct uffd_kernel_sigaction *old)
{
    return syscall(SYS_rt_sigaction, SIGBUS, set, old, sizeof set->mask) < 0 ? -errno : 0;
}
#endif

// No lock; any thread. 1 if a SIGBUS comes here, 0 if it does not because somebody has put another handler there since.
int uffd_sigbus_is_ours(void)
{
    void *handler;
#ifdef UFFD_RAW_SIGACTION
    struct uffd_kernel_sigaction now;
    if (raw_sigaction(NULL, &now) < 0)
        return 0;
    handler = now.handler;
#else
    struct sigaction now;
    if (sigaction(SIGBUS, NULL, &now) < 0)
        return 0;
    handler = (void *)(uintptr_t)now.sa_sigaction;
#endif
    return handler == (void *)(uintptr_t)on_sigbus || (atomic_load(&installed) && uffd_is_another_copy(handler));
}

// Holds install_lock. libc's call first, as every debugger and sanitizer expects; then a look at what the kernel has.
static int install(void)
{
    struct sigaction ours;
    if (sigaction(SIGBUS, NULL, &previous) < 0)
        return -errno;
    ours = previous;  // HotSpot's mask
    ours.sa_sigaction = on_sigbus;
    // SA_NODEFER: a second SIGBUS while the handler runs would otherwise kill the process.
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_NODEFER;
    if (sigaction(SIGBUS, &ours, NULL) < 0)
        return -errno;
    if (uffd_sigbus_is_ours())
        return 0;
#ifdef UFFD_RAW_SIGACTION
    // Swallowed by an interposed sigaction() (libjsig): what the kernel has now is the JVM's, with a restorer that can serve ours
    // too. The JVM hands on to what the interposer keeps: were that ours, the two would call each other for ever.
    if (sigaction(SIGBUS, &previous, NULL) < 0)
        return -errno;
    struct uffd_kernel_sigaction raw;
    int failed = raw_sigaction(NULL, &raw);
    if (failed)
        return failed;
    previous.sa_sigaction = (void (*)(int, siginfo_t *, void *))(uintptr_t)raw.handler;
    previous.sa_flags = (int)raw.flags;
    memcpy(&previous.sa_mask, raw.mask, sizeof raw.mask);
    raw.handler = (void *)(uintptr_t)on_sigbus;
    raw.flags |= (unsigned long)(SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_NODEFER);
    failed = raw_sigaction(&raw, NULL);
    if (failed)
        return failed;
#endif
    return uffd_sigbus_is_ours() ? 0 : -ENOTSUP;
}

// Takes install_lock; any thread, not in a signal handler. Again after a success it does nothing, even if replaced since:
// to stand in front of a handler that may have kept ours as its own predecessor would make a loop.
int uffd_sigbus_install(void)
{
    pthread_mutex_lock(&install_lock);
    int result = atomic_load(&installed) ? 0 : install();
    if (result == 0)
        atomic_store(&installed, 1);
    pthread_mutex_unlock(&install_lock);
    return result;
}

// No lock; any thread. What comes behind `last`, or NULL without memory for it.
static struct touchers *add_touchers(struct touchers *last)
{
    struct touchers *none = NULL, *added = calloc(1, sizeof *added);
    if (added && !atomic_compare_exchange_strong(&last->more, &none, added)) {
        free(added);
        return none;
    }
    return added;
}

// No lock; any thread. A free slot, or NULL without memory for one.
static struct toucher *take_slot(pid_t self)
{
    for (struct touchers *some = &touchers, *next; some; some = next) {
        for (size_t i = 0; i < sizeof some->slots / sizeof some->slots[0]; i++) {
            pid_t nobody = 0;
            if (atomic_load_explicit(&some->slots[i].thread, memory_order_relaxed) == 0
                && atomic_compare_exchange_strong(&some->slots[i].thread, &nobody, -self))
                return &some->slots[i];
        }
        next = atomic_load(&some->more);
        if (!next)
            next = add_touchers(some);
    }
    return NULL;
}

// Blocks while somebody resolves the faults; any thread that has SIGBUS unblocked, in native state. Reads one byte a step;
// -EFAULT if a read raised SIGBUS: a poisoned page, a failed source, or the end of a file.
int uffd_touch(const volatile char *address, size_t length, size_t step)
{
    int failed = uffd_sigbus_install();
    if (failed)
        return failed;
    pid_t self = (pid_t)syscall(SYS_gettid);
    struct toucher *slot = take_slot(self);
    if (!slot)
        return -ENOMEM;
    slot->from = (uintptr_t)address;
    slot->to = (uintptr_t)address + length;
    int result = 0;
    if (sigsetjmp(slot->back, 1) == 0) {
        atomic_store_explicit(&slot->thread, self, memory_order_release);
        for (size_t offset = 0; offset < length; offset += step)
            (void)address[offset];
    } else {
        result = -EFAULT;
    }
    atomic_store_explicit(&slot->thread, 0, memory_order_release);
    return result;
}
