// SPDX-License-Identifier: Apache-2.0
// Handlers find a region in an immutable sorted table behind one atomic pointer. Whoever changes the table publishes a new one
// and waits until no handler can still be using the old one, as SRCU does: handlers count themselves in one of two sides, and
// the changer turns the side over twice and waits for the side left each time, so that it also catches a handler that read
// the side before it was turned and counted itself after.
#include "uffd_inline.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

// How often in a row a page may fault that needs nothing, and for how long. Races make it happen a few times.
enum { STUCK_LIMIT = 1000 };
static const int64_t STUCK_NANOSECONDS = 1000000000;

struct entry {
    uintptr_t base;
    size_t length;
    _Atomic(struct uffd_region *) region;  // NULL when removed; the next table leaves the entry out
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
static void copy_with(struct table *next, struct table *old, struct uffd_region *region)
{
    struct entry *to = next->entries;
    int placed = 0;
    for (size_t i = 0; i < (old ? old->size : 0); i++) {
        struct uffd_region *live = atomic_load(&old->entries[i].region);
        if (live && live->base == region->base)
            live = NULL;  // served before, and now by the new one
        if (live && !placed && live->base > region->base) {
            *to++ = (struct entry){ region->base, region->length, region };
            placed = 1;
        }
        if (live)
            *to++ = (struct entry){ live->base, live->length, live };
    }
    if (!placed)
        *to++ = (struct entry){ region->base, region->length, region };
    next->size = (size_t)(to - next->entries);
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. From now on faults in the region are resolved.
int uffd_inline_add(struct uffd_region *region)
{
    pthread_mutex_lock(&change_lock);
    struct table *old = atomic_load(&current);
    struct table *next = malloc(sizeof *next + ((old ? old->size : 0) + 1) * sizeof next->entries[0]);
    if (next) {
        copy_with(next, old, region);
        atomic_store(&current, next);
        wait_for_handlers();
        free(old);
    }
    pthread_mutex_unlock(&change_lock);
    return next ? 0 : -ENOMEM;
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. No handler uses the old one afterwards, and those that
// find its addresses use the other, which has the same; NULL: none.
void uffd_inline_replace(struct uffd_region *old, struct uffd_region *by)
{
    pthread_mutex_lock(&change_lock);
    struct table *table = atomic_load(&current);
    for (size_t i = 0; i < table->size; i++) {
        struct uffd_region *expected = old;
        atomic_compare_exchange_strong(&table->entries[i].region, &expected, by);
    }
    wait_for_handlers();
    pthread_mutex_unlock(&change_lock);
}

// Takes change_lock, waits for handlers; any thread, not in a signal handler. No handler uses the region afterwards.
void uffd_inline_remove(struct uffd_region *region)
{
    uffd_inline_replace(region, NULL);
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
static struct uffd_region *find(struct table *table, uintptr_t address)
{
    size_t low = 0;
    for (size_t high = table->size; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].base + table->entries[middle].length <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->size && table->entries[low].base <= address ? atomic_load(&table->entries[low].region) : NULL;
}

// No lock; any thread and signal handlers. Whoever changes the table waits for who is inside; what to give to uffd_inline_exit.
uint32_t uffd_inline_enter(unsigned stripe)
{
    uint32_t here = atomic_load(&side) & 1;
    atomic_fetch_add(&handlers[stripe].inside[here], 1);
    return here;
}

// No lock; any thread and signal handlers.
void uffd_inline_exit(unsigned stripe, uint32_t entered)
{
    atomic_fetch_sub(&handlers[stripe].inside[entered], 1);
}

// Signal handler; never blocks for longer than the region's operation does. 0 if the faulting instruction can run again, -ENOENT if
// nobody here resolves the fault.
int uffd_inline_resolve(uintptr_t address, int present)
{
    unsigned stripe = uffd_stripe_here();
    uint32_t entered = uffd_inline_enter(stripe);
    struct table *table = atomic_load(&current);
    struct uffd_region *region = table ? find(table, address) : NULL;
    int result = region ? region->resolve(region, address, stripe, present) : -ENOENT;
    uffd_inline_exit(stripe, entered);
    return result;
}

// No lock; any thread and signal handlers.
int64_t uffd_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// No lock; any thread and signal handlers. Threads are told apart by where their stacks are: no system call, no thread-local
// storage, and two that meet in one stripe only share its counters.
unsigned uffd_stripe_here(void)
{
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0) >> 16;
    return (unsigned)((stack ^ stack >> 4 ^ stack >> 8) % UFFD_STRIPES);
}

// No lock; any thread. Pages of a range were taken away, which lets them fault again.
void uffd_inline_disturb(uintptr_t address, size_t length)
{
    unsigned stripe = uffd_stripe_here();
    uint32_t entered = uffd_inline_enter(stripe);
    struct table *table = atomic_load(&current);
    for (size_t i = 0; table && i < table->size; i++) {
        struct entry *entry = &table->entries[i];
        struct uffd_region *region = atomic_load(&entry->region);
        if (region && entry->base < address + length && address < entry->base + entry->length)
            atomic_fetch_add(&region->disturbed, 1);
    }
    uffd_inline_exit(stripe, entered);
}

// No lock; any thread and signal handlers. Whether a place has faulted again and again for a second though nothing was to be done and
// nobody did anything to its region meanwhile: a loop that only SIGKILL would end. Threads that come late are a few of these.
int uffd_inline_is_stuck(struct uffd_stuck *stuck, struct uffd_region *region, size_t at)
{
    size_t disturbed = atomic_load(&region->disturbed);
    if (atomic_load_explicit(&stuck->at, memory_order_relaxed) != at
        || atomic_load_explicit(&stuck->disturbed, memory_order_relaxed) != disturbed) {
        atomic_store_explicit(&stuck->at, at, memory_order_relaxed);
        atomic_store_explicit(&stuck->disturbed, disturbed, memory_order_relaxed);
        atomic_store_explicit(&stuck->count, 0, memory_order_relaxed);
    }
    uint32_t before = atomic_fetch_add_explicit(&stuck->count, 1, memory_order_relaxed);
    if (before == 0)
        atomic_store_explicit(&stuck->since, uffd_nanoseconds(), memory_order_relaxed);
    return before >= STUCK_LIMIT
        && uffd_nanoseconds() - atomic_load_explicit(&stuck->since, memory_order_relaxed) > STUCK_NANOSECONDS;
}

// No lock; any thread and signal handlers. Whether so many faults came after a region's end that they are no latecomers any more.
int uffd_inline_is_over(_Atomic(uint32_t) *late)
{
    return atomic_fetch_add_explicit(late, 1, memory_order_relaxed) >= STUCK_LIMIT;
}
