// SPDX-License-Identifier: Apache-2.0
// Handlers find a region in an immutable sorted table behind one atomic pointer. Whoever changes the table publishes a new one
// and waits until no handler can still be using the old one, as SRCU does: handlers count themselves in one of two sides, and
// the changer turns the side over twice and waits for the side left each time, so that it also catches a handler that read
// the side before it was turned and counted itself after.
#include "uffd_inline.h"

#include "uffd_fill.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct entry {
    uintptr_t base;
    size_t length;
    _Atomic(struct uffd_paged *) paged;  // NULL when removed; the next table leaves the entry out
};

struct table {
    size_t size;
    struct entry entries[];  // by address
};

struct handlers {
    _Alignas(128) _Atomic(uint32_t) inside[2];
};

static _Atomic(struct table *) current;
static _Atomic(uint32_t) side;
static struct handlers handlers[UFFD_STRIPES];
static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;

// Holds change_lock, waits for handlers that are running now; not in a signal handler.
static void wait_for_handlers(void)
{
    for (int turn = 0; turn < 2; turn++) {
        uint32_t left = atomic_fetch_add(&side, 1) & 1;
        for (int i = 0; i < UFFD_STRIPES; i++) {
            while (atomic_load(&handlers[i].inside[left]) != 0)
                sched_yield();
        }
    }
}

// Holds change_lock. The live entries and a new one between them, or in place of the one that had its region before.
static void copy_with(struct table *next, struct table *old, struct uffd_paged *paged)
{
    struct entry *to = next->entries;
    int placed = 0;
    for (size_t i = 0; i < (old ? old->size : 0); i++) {
        struct uffd_paged *live = atomic_load(&old->entries[i].paged);
        if (live && live->base == paged->base)
            live = NULL;  // served before, and now by the new one
        if (live && !placed && live->base > paged->base) {
            *to++ = (struct entry){ paged->base, paged->length, paged };
            placed = 1;
        }
        if (live)
            *to++ = (struct entry){ live->base, live->length, live };
    }
    if (!placed)
        *to++ = (struct entry){ paged->base, paged->length, paged };
    next->size = (size_t)(to - next->entries);
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. From now on faults in the region are resolved.
int uffd_inline_add(struct uffd_paged *paged)
{
    pthread_mutex_lock(&change_lock);
    struct table *old = atomic_load(&current);
    struct table *next = malloc(sizeof *next + ((old ? old->size : 0) + 1) * sizeof next->entries[0]);
    if (next) {
        copy_with(next, old, paged);
        atomic_store(&current, next);
        wait_for_handlers();
        free(old);
    }
    pthread_mutex_unlock(&change_lock);
    return next ? 0 : -ENOMEM;
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. No handler uses the region afterwards.
void uffd_inline_remove(struct uffd_paged *paged)
{
    pthread_mutex_lock(&change_lock);
    struct table *table = atomic_load(&current);
    for (size_t i = 0; i < table->size; i++) {
        struct uffd_paged *expected = paged;
        atomic_compare_exchange_strong(&table->entries[i].paged, &expected, NULL);
    }
    wait_for_handlers();
    pthread_mutex_unlock(&change_lock);
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. What was true of a region before the call is
// known to each handler after it.
void uffd_inline_quiesce(void)
{
    pthread_mutex_lock(&change_lock);
    wait_for_handlers();
    pthread_mutex_unlock(&change_lock);
}

// In a section that the changer waits for; signal handlers.
static struct uffd_paged *find(struct table *table, uintptr_t address)
{
    size_t low = 0;
    for (size_t high = table->size; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].base + table->entries[middle].length <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->size && table->entries[low].base <= address ? atomic_load(&table->entries[low].paged) : NULL;
}

// Signal handler, in a section that the changer waits for.
static int resolve(struct uffd_paged *paged, uintptr_t address, unsigned stripe)
{
    // A region that is filled completely or gone: the fault is older than that, and the instruction has to be run again. One
    // that goes on faulting is the business of who comes after us.
    if (atomic_load(&paged->ended))
        return uffd_fill_is_over(paged, stripe) ? -ENOENT : 0;
    int64_t start = uffd_nanoseconds();
    int failed = uffd_fill_fault(paged, address, stripe);
    if (failed == -ENOENT)
        return atomic_load(&paged->ended) ? 0 : -ENOENT;
    if (failed < 0)
        uffd_fill_abort(paged, address, failed);
    if (failed == UFFD_WAS_PRESENT && uffd_fill_is_stuck(paged, address, stripe))
        uffd_fill_abort(paged, address, -EEXIST);
    atomic_fetch_add_explicit(&paged->stripes[stripe].nanoseconds, uffd_nanoseconds() - start, memory_order_relaxed);
    return 0;
}

// Signal handler; never blocks for longer than the source takes. 0 if the faulting instruction can run again, -ENOENT if the
// address is in no paged region.
int uffd_inline_resolve(uintptr_t address)
{
    unsigned stripe = uffd_stripe_here();
    uint32_t here = atomic_load(&side) & 1;
    atomic_fetch_add(&handlers[stripe].inside[here], 1);
    struct table *table = atomic_load(&current);
    struct uffd_paged *paged = table ? find(table, address) : NULL;
    int result = paged ? resolve(paged, address, stripe) : -ENOENT;
    atomic_fetch_sub(&handlers[stripe].inside[here], 1);
    return result;
}
