// SPDX-License-Identifier: Apache-2.0
// The faulting side of the conformance tests: short programs of memory accesses and system calls, run by a thread that the
// JVM does not know, or by a forked child of one. Neither holds up a safepoint while it waits for a page, so Java code may be
// the handler. SIGBUS and SIGSEGV of these threads become the result of the step that raised them.
#include "test_faults.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Steps.java has the same list.
enum operation {
    OP_READ, OP_WRITE, OP_COMPARE, OP_MADVISE, OP_MUNMAP, OP_MREMAP, OP_MPROTECT, OP_MAP_OVER, OP_PAGEMAP, OP_PIN_SHORTLY,
    OP_READ_FILE, OP_WRITE_FILE, OP_GATE, OP_CLOSE
};

enum { STEP_LONGS = 4 };
static const int64_t NOT_RUN = INT64_C(0x1C00000000000000);  // bits that no pagemap entry has
static const int64_t DEADLINE_MS = 30000;

struct step {
    int64_t operation, a, b, c, result;
};

// In shared memory: a forked child works on the same one. `steps` follow.
struct job {
    pthread_t thread;
    _Atomic(int) finished;
    _Atomic(int) users;    // the thread and the Java object; the last one frees
    _Atomic(int) gate;
    _Atomic(int) at;       // the step that runs now
    _Atomic(int) tid;
    _Atomic(int) child;
    int status;            // of the child, as waitpid(2) tells
    bool forked;
    size_t size;
    int count;
    struct step steps[];
};

static _Atomic(int) running;
static _Atomic(int) given_up;
static pthread_mutex_t catch_lock = PTHREAD_MUTEX_INITIALIZER;
static int catchers;
static struct sigaction old_bus, old_segv;
// Not the dynamic model: its first use may allocate, and this one may be in a signal handler.
static __thread sigjmp_buf *guard __attribute__((tls_model("initial-exec")));
static __thread int64_t signalled __attribute__((tls_model("initial-exec")));

// The number of the signal that interrupts a wait and does nothing else.
static int nudge_signal(void)
{
    return SIGRTMIN + 9;
}

static void on_nudge(int number)
{
    (void)number;
}

// Signal handler. A thread without a guard is the JVM's business.
static void on_fault(int number, siginfo_t *info, void *context)
{
    if (guard) {
        signalled = -((number == SIGBUS ? 1000 : 2000) + info->si_code);
        siglongjmp(*guard, 1);
    }
    const struct sigaction *old = number == SIGBUS ? &old_bus : &old_segv;
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(number, info, context);
    } else {
        sigaction(number, old, NULL);
    }
}

void test_catch(void)
{
    pthread_mutex_lock(&catch_lock);
    if (catchers++ == 0) {
        struct sigaction ours = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, &old_bus);
        sigaction(SIGSEGV, &ours, &old_segv);
        struct sigaction nudge = { .sa_handler = on_nudge };
        sigemptyset(&nudge.sa_mask);
        sigaction(nudge_signal(), &nudge, NULL);
    }
    pthread_mutex_unlock(&catch_lock);
}

// The library under test checks that its own handler is still there: so the old ones come back.
void test_uncatch(void)
{
    pthread_mutex_lock(&catch_lock);
    if (--catchers == 0) {
        sigaction(SIGBUS, &old_bus, NULL);
        sigaction(SIGSEGV, &old_segv, NULL);
    }
    pthread_mutex_unlock(&catch_lock);
}

int64_t test_pagemap(uintptr_t address)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int64_t entry = 0;
    off_t at = (off_t)(address / (uintptr_t)getpagesize() * sizeof entry);
    ssize_t got = pread(fd, &entry, sizeof entry, at);
    int64_t result = got == (ssize_t)sizeof entry ? entry : -EIO;
    close(fd);
    return result;
}

static void pause_ms(long ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

// process_vm_readv(2) of this process pins the pages for as long as it copies them, without the right to write: the one way
// for a program to have a read-only pin (mm/process_vm_access.c, FOLL_PIN).
static int64_t pin_shortly(void *address, size_t length)
{
    char *copy = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return -errno;
    struct iovec to = { copy, length };
    struct iovec from = { address, length };
    int64_t result = test_result(process_vm_readv(getpid(), &to, 1, &from, 1, 0));
    munmap(copy, length);
    return result;
}

static int64_t run_step(struct job *job, const struct step *step)
{
    volatile unsigned char *at = test_at(step->a);
    size_t length = (size_t)step->b;
    switch ((enum operation)step->operation) {
    case OP_READ:
        return *at;
    case OP_WRITE:
        *at = (unsigned char)step->b;
        return 0;
    case OP_COMPARE:
        return memcmp(test_at(step->a), test_at(step->b), (size_t)step->c) != 0;
    case OP_MADVISE:
        return test_result(madvise(test_at(step->a), length, (int)step->c));
    case OP_MUNMAP:
        return test_result(munmap(test_at(step->a), length));
    case OP_MREMAP:
        return mremap(test_at(step->a), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, test_at(step->c)) == MAP_FAILED
            ? -errno : 0;
    case OP_MPROTECT:
        return test_result(mprotect(test_at(step->a), length, (int)step->c));
    case OP_MAP_OVER:
        return mmap(test_at(step->a), length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
            == MAP_FAILED ? -errno : 0;
    case OP_PAGEMAP:
        return test_pagemap((uintptr_t)step->a);
    case OP_PIN_SHORTLY:
        return pin_shortly(test_at(step->a), length);
    case OP_READ_FILE:
        return test_result(read((int)step->c, test_at(step->a), length));
    case OP_WRITE_FILE:
        return test_result(write((int)step->c, test_at(step->a), length));
    case OP_GATE:
        while (atomic_load(&job->gate) < step->a)
            pause_ms(1);
        return 0;
    case OP_CLOSE:
        return test_result(close((int)step->a));
    }
    return -ENOSYS;
}

// The frame that a fault of the step comes back to: nothing of it is used afterwards.
static int64_t run_guarded(struct job *job, const struct step *step)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 1) != 0) {
        guard = NULL;
        return signalled;
    }
    guard = &here;
    int64_t result = run_step(job, step);
    guard = NULL;
    return result;
}

static void run_steps(struct job *job)
{
    for (int i = 0; i < job->count; i++) {
        atomic_store(&job->at, i);
        job->steps[i].result = run_guarded(job, &job->steps[i]);
    }
    atomic_store(&job->at, job->count);
}

// The child is C alone from here to _exit: nothing of the JVM runs in it. It dies with its parent and after the deadline.
// The raw call, because libc's fork() holds the locks of malloc while the call runs, and with EVENT_FORK it runs until the
// event is read: a reader in this process that allocates, such as a JVM, would wait for ever.
static void run_forked(struct job *job)
{
    pid_t child = test_fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_steps(job);
        _exit(0);
    }
    atomic_store(&job->child, child);
    int64_t left = DEADLINE_MS;
    while (child > 0 && waitpid(child, &job->status, WNOHANG) == 0) {
        pause_ms(1);
        if (--left == 0)
            kill(child, SIGKILL);
    }
}

static void leave(struct job *job)
{
    if (atomic_fetch_sub(&job->users, 1) == 1)
        munmap(job, job->size);
}

static void *job_thread(void *argument)
{
    struct job *job = argument;
    atomic_store(&job->tid, (int)syscall(SYS_gettid));
    if (job->forked)
        run_forked(job);
    else
        run_steps(job);
    test_uncatch();
    atomic_fetch_sub(&running, 1);
    atomic_store(&job->finished, 1);
    leave(job);
    return NULL;
}

static int start_thread(struct job *job)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, nudge_signal());
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&job->thread, &attributes, job_thread, job);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -failed;
}

// A job that runs the steps in a thread, or in a child that the thread forks. Its address, or -errno.
TEST_NATIVE(jlong, start, STATIC, jlongArray program, jboolean forked)
{
    jsize longs = (*env)->GetArrayLength(env, program);
    int count = longs / STEP_LONGS;
    size_t size = sizeof(struct job) + (size_t)count * sizeof(struct step);
    struct job *job = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job == MAP_FAILED)
        return -errno;
    job->size = size;
    job->count = count;
    job->forked = forked;
    atomic_store(&job->users, 2);
    for (int i = 0; i < count; i++) {
        jlong values[STEP_LONGS];
        (*env)->GetLongArrayRegion(env, program, i * STEP_LONGS, STEP_LONGS, values);
        job->steps[i] = (struct step){ values[0], values[1], values[2], values[3], NOT_RUN };
    }
    test_catch();
    atomic_fetch_add(&running, 1);
    int failed = start_thread(job);
    if (failed) {
        atomic_fetch_sub(&running, 1);
        test_uncatch();
        munmap(job, size);
        return failed;
    }
    return (jlong)(uintptr_t)job;
}

// Waits; 1 if the job has finished, 0 after the time.
TEST_NATIVE(jint, await, STATIC, jlong address, jlong ms)
{
    struct job *job = test_at(address);
    for (jlong left = ms; atomic_load(&job->finished) == 0; left--) {
        if (left <= 0)
            return 0;
        pause_ms(1);
    }
    return 1;
}

TEST_NATIVE(jlong, result, STATIC, jlong address, jint step)
{
    return ((struct job *)test_at(address))->steps[step].result;
}

// What to know of a job: 0 the step that runs, 1 the thread's id, 2 the child's process id, 3 the child's status.
TEST_NATIVE(jint, fact, STATIC, jlong address, jint what)
{
    struct job *job = test_at(address);
    switch (what) {
    case 0: return atomic_load(&job->at);
    case 1: return atomic_load(&job->tid);
    case 2: return atomic_load(&job->child);
    default: return job->status;
    }
}

TEST_NATIVE(void, open, STATIC, jlong address, jint gate)
{
    atomic_store(&((struct job *)test_at(address))->gate, gate);
}

// Interrupts the wait of the job's thread by a signal that does nothing.
TEST_NATIVE(jint, nudge, STATIC, jlong address)
{
    struct job *job = test_at(address);
    return (jint)test_result(syscall(SYS_tgkill, getpid(), atomic_load(&job->tid), nudge_signal()));
}

// The memory goes now, or with the thread's end if that is still to come. A child of it is killed.
TEST_NATIVE(void, release, STATIC, jlong address)
{
    struct job *job = test_at(address);
    atomic_store(&job->gate, INT32_MAX);
    int child = atomic_load(&job->child);
    if (child > 0 && atomic_load(&job->finished) == 0)
        kill(child, SIGKILL);
    leave(job);
}

// How many jobs run that the tests still care about.
TEST_NATIVE(jint, running, STATIC)
{
    int still = atomic_load(&running) - atomic_load(&given_up);
    return still > 0 ? still : 0;
}

// A test that left threads behind has failed for it once; those after it are not to fail for the same.
TEST_NATIVE(void, giveUp, STATIC)
{
    atomic_store(&given_up, atomic_load(&running));
}
