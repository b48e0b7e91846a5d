// SPDX-License-Identifier: Apache-2.0
#include "uffd_pager.h"

#include "uffd_abi.h"
#include "uffd_fill.h"
#include "uffd_inline.h"
#include "uffd_memory.h"
#include "uffd_sigbus.h"
#include "uffd_sys.h"
#include "uffd_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// What a page reads as that could not be filled, under the policy FILL: eight bytes that nobody writes by chance.
static const uint64_t FAILED_PAGE = UINT64_C(0xFA17EDFA17EDFA17);

struct uffd_pager {
    struct uffd_paged paged;
    int engine;
    struct uffd_threads *threads;
};

// No lock; any thread. Zeros that take no memory until they are written.
static void *reserve(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// No lock; any thread.
static size_t bitmap_length(const struct uffd_paged *paged)
{
    return (paged->region.length / paged->page + 63) / 64 * sizeof(uint64_t);
}

// No lock; any thread.
static int prepare_policy(struct uffd_paged *paged)
{
    if (paged->on_failure != UFFD_FAILURE_FILL)
        return 0;
    uint64_t *pattern = reserve(paged->page);
    paged->pattern = (char *)pattern;
    paged->failed_pages = reserve(bitmap_length(paged));
    if (!pattern || !paged->failed_pages)
        return -ENOMEM;
    for (size_t i = 0; i < paged->page / sizeof *pattern; i++)
        pattern[i] = FAILED_PAGE;
    return 0;
}

// No lock; one thread, when no engine and no handler uses the pager.
static void release(struct uffd_pager *pager)
{
    if (pager->paged.pattern)
        munmap((void *)(uintptr_t)pager->paged.pattern, pager->paged.page);
    if (pager->paged.failed_pages)
        munmap((void *)pager->paged.failed_pages, bitmap_length(&pager->paged));
    free(pager);
}

// No lock; one thread.
static int start_engine(struct uffd_pager *pager, int threads)
{
    if (pager->engine == UFFD_ENGINE_THREAD)
        return uffd_threads_start(&pager->paged, threads, &pager->threads);
    int failed = uffd_sigbus_install();
    if (!failed && !uffd_sigbus_is_ours())
        failed = -ENOTSUP;
    return failed ? failed : uffd_inline_add(&pager->paged.region);
}

// Waits for faults under way; one thread. Afterwards nothing uses the descriptor or the source. A region served inline stays
// known to the handler until uffd_pager_free: a thread that faulted before may get there only later.
static void stop_engine(struct uffd_pager *pager)
{
    if (pager->engine == UFFD_ENGINE_THREAD)
        uffd_threads_stop(pager->threads);
    else
        uffd_inline_quiesce();
    pager->threads = NULL;
}

// No lock; one thread. The region is closed to everybody, emptied, registered and served, and only then open again: otherwise a
// huge page that the kernel puts there in between (THP) would make some pages present that were never filled.
static int open_region(struct uffd_pager *pager, int threads, int memory)
{
    const struct uffd_paged *paged = &pager->paged;
    void *base = (void *)paged->region.base;
    if (mprotect(base, paged->region.length, PROT_NONE) < 0)
        return -errno;
    int result = uffd_memory_register_empty(paged->fd, base, memory, paged->region.length, paged->page);
    if (result >= 0)
        result = start_engine(pager, threads);
    if (mprotect(base, paged->region.length, PROT_READ | PROT_WRITE) < 0 && result >= 0) {
        result = -errno;
        stop_engine(pager);
        if (pager->engine == UFFD_ENGINE_INLINE)
            uffd_inline_remove(&pager->paged.region);
    }
    if (result < 0)
        uffd_memory_end_registration(base, paged->region.length);
    return result;
}

// No lock; any thread. Takes over neither descriptor nor source: they live until finish or detach has returned. A failure leaves
// the region empty and, when the caller has closed the descriptor, not registered.
int uffd_pager_start(const struct uffd_pager_options *options, struct uffd_pager **result)
{
    struct uffd_pager *pager = aligned_alloc(_Alignof(struct uffd_pager), sizeof *pager);
    if (!pager)
        return -ENOMEM;
    memset(pager, 0, sizeof *pager);
    pager->engine = (int)options->engine;
    struct uffd_paged *paged = &pager->paged;
    paged->region.resolve = uffd_fill_resolve;
    paged->fd = (int)options->fd;
    paged->region.base = (uintptr_t)options->address;
    paged->region.length = (size_t)options->length;
    paged->page = (size_t)options->page;
    paged->around = (size_t)options->around;
    paged->on_failure = (int)options->on_failure;
    // With UFFD_FEATURE_SIGBUS no thread ever waits on the descriptor: a fault is the thread's own business.
    atomic_init(&paged->copy_mode, pager->engine == UFFD_ENGINE_INLINE ? UFFDIO_COPY_MODE_DONTWAKE : 0);
    paged->source = (const struct uffd_source *)(uintptr_t)options->source;
    int failed = prepare_policy(paged);
    if (!failed)
        failed = open_region(pager, (int)options->threads, (int)options->memory);
    if (failed) {
        release(pager);
        return failed;
    }
    *result = pager;
    return 0;
}

// No lock; any thread. For who protects pages beside the pager.
struct uffd_paged *uffd_pager_paged(struct uffd_pager *pager)
{
    return &pager->paged;
}

// No lock; any thread.
int uffd_pager_fill(struct uffd_pager *pager, size_t offset, size_t length)
{
    return uffd_fill_range(&pager->paged, offset, length);
}

// Waits for faults under way; one thread, while nobody discards pages: a page that is missing when the range is unregistered
// turns into zeros. A fault that was read before and is resolved after finds nothing registered, and its page in place.
int uffd_pager_finish(struct uffd_pager *pager)
{
    int failed = uffd_fill_last(&pager->paged);
    if (failed)
        return failed;
    atomic_store(&pager->paged.ended, 1);
    failed = uffd_unregister(pager->paged.fd, pager->paged.region.base, pager->paged.region.length);
    if (failed) {
        atomic_store(&pager->paged.ended, 0);
        return failed;
    }
    uffd_memory_end_registration((void *)pager->paged.region.base, pager->paged.region.length);
    stop_engine(pager);
    return 0;
}

// Waits for faults under way; one thread. No reader ever sees a page that was not filled: at once all pages are gone behind a
// mapping that raises SIGBUS, and whoever waited for one is woken to find that out.
int uffd_pager_detach(struct uffd_pager *pager)
{
    atomic_store(&pager->paged.ended, 1);
    int failed = uffd_memory_retire((void *)pager->paged.region.base, pager->paged.region.length);
    if (failed) {
        atomic_store(&pager->paged.ended, 0);
        return failed;
    }
    uffd_wake(pager->paged.fd, pager->paged.region.base, pager->paged.region.length);
    stop_engine(pager);
    return 0;
}

// Waits for handlers; one thread, after finish or detach, when no call uses the pager any more and its region is given up or
// about to be served by another.
void uffd_pager_free(struct uffd_pager *pager)
{
    if (pager->engine == UFFD_ENGINE_INLINE)
        uffd_inline_remove(&pager->paged.region);
    release(pager);
}

// No lock; any thread. The stripes are read one after another while they change.
void uffd_pager_stats(const struct uffd_pager *pager, struct uffd_pager_stats *stats)
{
    *stats = (struct uffd_pager_stats){ 0 };
    for (int i = 0; i < UFFD_STRIPES; i++) {
        const struct uffd_stripe *stripe = &pager->paged.stripes[i];
        int64_t faults = atomic_load_explicit(&stripe->faults, memory_order_relaxed);
        int64_t timed = (faults + UFFD_FAULTS_FOR_ONE_TIMED - 1) / UFFD_FAULTS_FOR_ONE_TIMED;
        stats->faults += faults;
        stats->pages += atomic_load_explicit(&stripe->pages, memory_order_relaxed);
        stats->present += atomic_load_explicit(&stripe->present, memory_order_relaxed);
        stats->retried += atomic_load_explicit(&stripe->retried, memory_order_relaxed);
        stats->failed += atomic_load_explicit(&stripe->failed, memory_order_relaxed);
        if (timed > 0)
            stats->nanoseconds += atomic_load_explicit(&stripe->nanoseconds, memory_order_relaxed) / timed * faults;
    }
}

// No lock; any thread.
int64_t uffd_pager_next_failed(const struct uffd_pager *pager, size_t offset)
{
    return uffd_fill_next_failed(&pager->paged, offset);
}

// No lock; any thread. Of the latest failed page, 0 without one.
int uffd_pager_failed_errno(const struct uffd_pager *pager)
{
    return atomic_load(&pager->paged.failed_errno);
}
