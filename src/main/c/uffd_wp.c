// SPDX-License-Identifier: Apache-2.0
// The protocol. A page belongs to whoever set its BUSY; the gate belongs to whoever protects many pages at once. A writer takes the
// page and then looks at the gate, the protector closes the gate and then looks at the pages: so one of them sees the other. States
// change after the kernel's call has returned and before BUSY is gone. Whoever cannot have a page runs its instruction again.
#include "uffd_wp.h"

#include "uffd_abi.h"
#include "uffd_bits.h"
#include "uffd_fill.h"
#include "uffd_pager.h"
#include "uffd_sigbus.h"
#include "uffd_sys.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Between two steps that have to be in this order. The harness makes these moments long.
#ifdef UFFD_MOMENT
void UFFD_MOMENT(void);
#else
#define UFFD_MOMENT() ((void)0)
#endif

// From so many runs on, one for this many pages, protecting the whole range is faster than protecting each run (3,000 a GiB of 4 KiB).
enum { PAGES_A_RUN = 87 };
// In pages: 2 MiB of 64 KiB (ppc64le).
enum { SMALLEST_HUGE_PAGE = 32 };
// Bytes protected while writers wait, by who has no need of one instant.
enum { PIECE = 16 << 20 };

// No lock; any thread and signal handlers.
unsigned uffd_wp_state(struct uffd_wp *wp, size_t index)
{
    return atomic_load(&wp->states[index]);
}

// No lock; any thread and signal handlers, who took the page or closed the gate.
void uffd_wp_publish(struct uffd_wp *wp, size_t index, unsigned state)
{
    atomic_store(&wp->states[index], state & ~(unsigned)UFFD_BUSY);
}

// No lock; any thread and signal handlers. Does not wait: 0 if somebody else has the page, or the gate is not open. The second look at
// the gate, after the page was taken, is what makes a snapshot one instant.
int uffd_wp_take(struct uffd_wp *wp, size_t index)
{
    uint32_t state = atomic_load(&wp->states[index]);
    if ((state & UFFD_BUSY) || !atomic_compare_exchange_strong(&wp->states[index], &state, state | UFFD_BUSY))
        return 0;
    UFFD_MOMENT();
    if (atomic_load(&wp->gate) == UFFD_GATE_OPEN)
        return 1;
    UFFD_MOMENT();
    uffd_wp_publish(wp, index, state);
    return 0;
}

// Behind the closed gate. Keeps some of a page's state and adds some. Waits for who takes the page, only to find the gate closed and
// give it back. What the state was.
unsigned uffd_wp_settle(struct uffd_wp *wp, size_t index, unsigned keep, unsigned add)
{
    uint32_t state = atomic_load_explicit(&wp->states[index], memory_order_relaxed);
    for (;;) {
        if (state & UFFD_BUSY) {
            sched_yield();
            state = atomic_load(&wp->states[index]);
        } else if (atomic_compare_exchange_weak(&wp->states[index], &state, (state & keep) | add)) {
            return state;
        }
    }
}

// Waits for pages of the range that are taken; one thread at a time. Nobody takes a page afterwards until the gate is opened.
void uffd_wp_close_gate(struct uffd_wp *wp, size_t from, size_t to)
{
    atomic_store(&wp->gate, UFFD_GATE_CLOSED);
    for (size_t i = from; i < to; i++) {
        while (uffd_wp_state(wp, i) & UFFD_BUSY)
            sched_yield();
    }
    atomic_fetch_add(&wp->region.disturbed, 1);
    UFFD_MOMENT();
}

// No lock; the thread that closed it. Wakes who waits.
void uffd_wp_open_gate(struct uffd_wp *wp, uint32_t as)
{
    atomic_store(&wp->gate, as);
    syscall(SYS_futex, &wp->gate, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

// Waits as long as the gate is closed; any thread and signal handlers. UFFD_GATE_OPEN or UFFD_GATE_ENDED.
static uint32_t wait_at_gate(struct uffd_wp *wp)
{
    uint32_t gate;
    while ((gate = atomic_load(&wp->gate)) == UFFD_GATE_CLOSED)
        syscall(SYS_futex, &wp->gate, FUTEX_WAIT_PRIVATE, UFFD_GATE_CLOSED, NULL, NULL, 0);
    return gate;
}

// Waits until writers who found the gate closed have their pages; it has to be open. Who closes it again at once would hold them up
// for as long as it goes on.
static void let_through(struct uffd_wp *wp)
{
    while (atomic_load(&wp->waiting) > 0)
        sched_yield();
}

// Takes as long as the source takes; any thread and signal handlers. The page is there afterwards, if somebody brings pages. 0 or -errno.
int uffd_wp_fill(struct uffd_wp *wp, size_t index)
{
    return wp->paged ? uffd_fill_range(wp->paged, index * wp->page, wp->page) : 0;
}

// No lock; any thread and signal handlers, who has taken the page. If the copy cannot be kept the snapshot does without the page, and
// is lost.
static void save(struct uffd_wp *wp, size_t index)
{
    unsigned state = uffd_wp_state(wp, index);
    if (!(state & UFFD_SNAP) || (state & UFFD_SAVED))
        return;
    int failed = uffd_wp_fill(wp, index);
    int where = failed ? uffd_saved_lose(&wp->saved, -failed)
                       : uffd_saved_put(&wp->saved, index, (const char *)wp->region.base + index * wp->page);
    if (where == UFFD_SAVED_NOT)
        state &= ~(unsigned)UFFD_SNAP;
    else
        state |= where == UFFD_SAVED_MEMORY ? UFFD_IN_MEMORY : UFFD_IN_FILE;
    atomic_store(&wp->states[index], state);
}

// No lock; any thread and signal handlers, who has taken the pages, and has them no more afterwards.
static int open_taken(struct uffd_wp *wp, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        save(wp, i);
    UFFD_MOMENT();
    int failed = uffd_writeprotect(wp->fd, wp->region.base + first * wp->page, count * wp->page, 0);
    UFFD_MOMENT();
    for (size_t i = first; i < first + count; i++)
        uffd_wp_publish(wp, i, uffd_wp_state(wp, i) | (failed ? 0 : UFFD_OPEN));
    return failed;
}

// No lock; signal handlers, who have taken `first`. Takes the pages behind it too if the writes are sequential: twice as many as the
// last time, as far as all are closed. How many are taken.
static size_t take_ahead(struct uffd_wp *wp, size_t first, struct uffd_wp_stripe *stripe)
{
    size_t window = 1;
    if (atomic_load_explicit(&stripe->expected, memory_order_relaxed) == first && first > 0) {
        window = 2 * atomic_load_explicit(&stripe->window, memory_order_relaxed);
        window = window < wp->ahead ? window : wp->ahead;
    }
    size_t count = 1;
    while (count < window && first + count < wp->pages && !(uffd_wp_state(wp, first + count) & UFFD_OPEN)
           && uffd_wp_take(wp, first + count))
        count++;
    atomic_store_explicit(&stripe->window, window, memory_order_relaxed);
    atomic_store_explicit(&stripe->expected, first + count, memory_order_relaxed);
    return count;
}

// Signal handler; takes as long as the source takes. A page that somebody has may be missing for himself: whether it was filled or was
// there, the instruction runs again, and does not wait at a gate that waits for him.
static int fill_missing(struct uffd_wp *wp, size_t index, uintptr_t address, unsigned stripe)
{
    int taken = uffd_wp_state(wp, index) & UFFD_BUSY;
    // Linux 5.19 to 6.2, without a mend of March 2023, call a huge page there that has nothing but a write-protect marker.
    int believed = !taken || wp->page == (size_t)getpagesize();
    int there = believed && uffd_fill_is_there(wp->paged, index * wp->page);
    int filled = there ? UFFD_WAS_PRESENT : uffd_fill_fault(wp->paged, address, stripe);
    if (filled < 0 && filled != -ENOENT)
        uffd_fill_abort(wp->paged, address, filled);
    if (filled != UFFD_WAS_PRESENT || !taken)
        return filled;
    sched_yield();
    return 0;
}

// Signal handler; waits for a gate that is closed.
static int resolve_at_gate(struct uffd_wp *wp, uintptr_t address, unsigned index)
{
    struct uffd_wp_stripe *stripe = &wp->stripes[index];
    size_t first = (address - wp->region.base) / wp->page;
    if (wait_at_gate(wp) == UFFD_GATE_ENDED)
        return uffd_inline_is_over(&stripe->late) ? -ENOENT : 0;
    UFFD_MOMENT();
    if (!uffd_wp_take(wp, first)) {
        sched_yield();
        return 0;
    }
    // An open page faults when the fault is older than its opening. One that does so for ever is not a write-protect fault.
    if ((uffd_wp_state(wp, first) & UFFD_OPEN) && uffd_inline_is_stuck(&stripe->stuck, &wp->region, first)) {
        uffd_wp_publish(wp, first, uffd_wp_state(wp, first));
        return -ENOENT;
    }
    size_t count = wp->ahead > 1 ? take_ahead(wp, first, stripe) : 1;
    int failed = open_taken(wp, first, count);
    // A window over two mappings, which some kernels refuse: the page itself is asked for when it faults again, with no window.
    if (failed && count > 1) {
        atomic_store_explicit(&stripe->expected, 0, memory_order_relaxed);
        return 0;
    }
    return failed;
}

// Signal handler; waits for a gate that is closed, which native code opens again whatever the JVM does.
static int resolve(struct uffd_region *region, uintptr_t address, unsigned index, int present)
{
    struct uffd_wp *wp = (struct uffd_wp *)region;
    if (wp->paged && !present) {
        int filled = fill_missing(wp, (address - region->base) / wp->page, address, index);
        if (filled != UFFD_WAS_PRESENT)
            return filled;
    }
    int waits = atomic_load(&wp->gate) == UFFD_GATE_CLOSED;
    if (waits)
        atomic_fetch_add(&wp->waiting, 1);
    int result = resolve_at_gate(wp, address, index);
    if (waits)
        atomic_fetch_sub(&wp->waiting, 1);
    return result;
}

// Waits for who has a page; any thread, in native state. Whole pages: their old content is aside if a snapshot needs it, and they can
// be written without a fault until the next protecting. 0 or -errno.
int uffd_wp_open(struct uffd_wp *wp, size_t offset, size_t length)
{
    for (size_t i = offset / wp->page; i < (offset + length) / wp->page;) {
        if (wait_at_gate(wp) == UFFD_GATE_ENDED)
            return 0;
        if (!uffd_wp_take(wp, i)) {
            sched_yield();
            continue;
        }
        int failed = open_taken(wp, i, 1);
        if (failed)
            return failed;
        i++;
    }
    return 0;
}

// No lock; one thread. Reads a byte of each open page, so that there is something to protect. Huge zero pages from before are split
// first, which lifting the protection of one page of theirs does: kernels that need this forget to protect their parts.
static void populate(struct uffd_wp *wp, size_t from, size_t to)
{
    if (!wp->populate)
        return;
    size_t split = SIZE_MAX;
    for (size_t i = from; i < to; i++) {
        if (!(uffd_wp_state(wp, i) & UFFD_OPEN))
            continue;
        if (i / SMALLEST_HUGE_PAGE != split)
            (void)uffd_writeprotect(wp->fd, wp->region.base + i * wp->page, wp->page, 0);
        split = i / SMALLEST_HUGE_PAGE;
        (void)atomic_load_explicit((_Atomic(char) *)(wp->region.base + i * wp->page), memory_order_relaxed);
    }
}

// Behind the closed gate. The first page from `from` on that is open, or not, or `to`.
static size_t find_open(struct uffd_wp *wp, size_t from, size_t to, int open)
{
    while (from < to && ((atomic_load_explicit(&wp->states[from], memory_order_relaxed) & UFFD_OPEN) != 0) != (open != 0))
        from++;
    return from;
}

// Behind the closed gate. Protects the open pages of a range; the states are left to the caller. After an error some that still count
// as open are protected, which the next write to them cures.
int uffd_wp_protect(struct uffd_wp *wp, size_t from, size_t to)
{
    size_t runs = 0;
    for (size_t at = find_open(wp, from, to, 1); at < to; at = find_open(wp, find_open(wp, at, to, 0), to, 1))
        runs++;
    if (runs * PAGES_A_RUN > to - from)
        return uffd_writeprotect(wp->fd, wp->region.base + from * wp->page, (to - from) * wp->page, UFFDIO_WRITEPROTECT_MODE_WP);
    int failed = 0;
    for (size_t at = find_open(wp, from, to, 1); at < to && !failed; at = find_open(wp, at, to, 1)) {
        size_t end = find_open(wp, at, to, 0);
        failed = uffd_writeprotect(wp->fd, wp->region.base + at * wp->page, (end - at) * wp->page, UFFDIO_WRITEPROTECT_MODE_WP);
        at = end;
    }
    return failed;
}

// No lock; any thread. Sets a bit for each page of the range that was written since the last protecting.
void uffd_wp_collect(struct uffd_wp *wp, size_t offset, size_t length, uint64_t *written)
{
    for (size_t i = offset / wp->page; i < (offset + length) / wp->page; i++) {
        if (uffd_wp_state(wp, i) & UFFD_OPEN)
            uffd_bits_set(written, i, i + 1);
    }
}

// Waits for pages that are taken; one thread at a time. After an error nothing of the piece was collected.
static int collect_and_protect_piece(struct uffd_wp *wp, size_t from, size_t to, uint64_t *written)
{
    populate(wp, from, to);
    uffd_wp_close_gate(wp, from, to);
    int failed = uffd_wp_protect(wp, from, to);
    for (size_t i = from; i < to && !failed; i++) {
        if (uffd_wp_settle(wp, i, ~(unsigned)UFFD_OPEN, 0) & UFFD_OPEN)
            uffd_bits_set(written, i, i + 1);
    }
    uffd_wp_open_gate(wp, UFFD_GATE_OPEN);
    let_through(wp);
    return failed;
}

// Waits for pages that are taken; one thread at a time. Like uffd_wp_collect, and protects each page in the same step. Piece by piece:
// no writer waits longer than one takes. Whoever takes pages away meanwhile opens them afterwards.
int uffd_wp_collect_and_protect(struct uffd_wp *wp, size_t offset, size_t length, uint64_t *written)
{
    size_t piece = PIECE > wp->page ? PIECE / wp->page : 1;
    size_t end = (offset + length) / wp->page;
    int failed = 0;
    for (size_t from = offset / wp->page; from < end && !failed; from += piece)
        failed = collect_and_protect_piece(wp, from, end - from < piece ? end : from + piece, written);
    return failed;
}

// No lock; one thread, when no handler and no call uses it. All that a late fault does not need.
static void release(struct uffd_wp *wp)
{
    uffd_saved_close(&wp->saved);
    free((void *)wp->states);
    free(wp->changed);
    free(wp->kept);
}

// No lock; one thread, after a start that failed: the file is still the caller's.
static void give_up(struct uffd_wp *wp)
{
    wp->saved.spill = -1;
    release(wp);
    free(wp);
}

// No lock; any thread.
static int prepare(const struct uffd_wp_options *options, struct uffd_wp **result)
{
    struct uffd_wp *wp = aligned_alloc(_Alignof(struct uffd_wp), sizeof *wp);
    if (!wp)
        return -ENOMEM;
    memset(wp, 0, sizeof *wp);
    wp->region = (struct uffd_region){ (uintptr_t)options->address, (size_t)options->length, resolve, 0 };
    wp->fd = (int)options->fd;
    wp->paged = options->pager ? uffd_pager_paged((struct uffd_pager *)(uintptr_t)options->pager) : NULL;
    wp->memory = wp->paged ? -1 : (int)options->memory;
    wp->page = (size_t)options->page;
    wp->pages = wp->region.length / wp->page;
    wp->ahead = (size_t)options->ahead / wp->page;
    wp->populate = options->populate != 0;
    wp->states = malloc(wp->pages * sizeof wp->states[0]);
    wp->changed = calloc(uffd_bits_words(wp->pages), sizeof(uint64_t));
    wp->kept = calloc(uffd_bits_words(wp->pages), sizeof(uint64_t));
    int failed = uffd_saved_open(&wp->saved, wp->region.length, wp->page, options->limit, (int)options->spill);
    if (!failed && (!wp->states || !wp->changed || !wp->kept))
        failed = -ENOMEM;
    if (failed) {
        give_up(wp);
        return failed;
    }
    for (size_t i = 0; i < wp->pages; i++)
        atomic_init(&wp->states[i], UFFD_OPEN);
    *result = wp;
    return 0;
}

// Waits for handlers and fills; any thread. Whether a page that the pager brings is protected from the start.
static void protect_fills(struct uffd_wp *wp, int protect)
{
    if (wp->paged) {
        if (protect)
            atomic_fetch_or(&wp->paged->copy_mode, UFFDIO_COPY_MODE_WP);
        else
            atomic_fetch_and(&wp->paged->copy_mode, ~(uint64_t)UFFDIO_COPY_MODE_WP);
        uffd_inline_quiesce();
    }
}

// Waits for faults under way; one thread, when no call uses it. A region that is paged stays registered, for missing pages, and its
// faults are the pager's again.
static int leave(struct uffd_wp *wp)
{
    protect_fills(wp, 0);
    uffd_wp_close_gate(wp, 0, wp->pages);
    int failed = uffd_writeprotect(wp->fd, wp->region.base, wp->region.length, 0);
    int after = wp->paged ? 0 : uffd_unregister(wp->fd, wp->region.base, wp->region.length);
    uffd_wp_open_gate(wp, UFFD_GATE_ENDED);
    if (wp->paged)
        uffd_inline_replace(&wp->region, &wp->paged->region);
    else
        uffd_inline_quiesce();
    return failed ? failed : after;
}

// No lock; any thread. The kernel's merging of same pages (KSM) takes the protection of a page away, unseen. EINVAL: there is none.
static int keep_from_merging(const struct uffd_wp *wp)
{
    int failed = madvise((void *)wp->region.base, wp->region.length, MADV_UNMERGEABLE) < 0 ? -errno : 0;
    return failed == -EINVAL ? 0 : failed;
}

// No lock; any thread. After a failure all is as before. The handler has to know the region before it is protected.
static int begin(struct uffd_wp *wp, int unchanged)
{
    int unmerged = keep_from_merging(wp);
    if (unmerged)
        return unmerged;
    uint64_t mode = UFFDIO_REGISTER_MODE_WP | (wp->paged ? UFFDIO_REGISTER_MODE_MISSING : 0);
    int64_t ioctls = uffd_register(wp->fd, wp->region.base, wp->region.length, mode);
    if (ioctls < 0)
        return (int)ioctls;
    if (wp->populate)  // no new huge pages; refused for those of hugetlbfs, which need it not
        (void)madvise((void *)wp->region.base, wp->region.length, MADV_NOHUGEPAGE);
    int failed = 0;
    if (wp->paged)
        uffd_inline_replace(&wp->paged->region, &wp->region);
    else
        failed = uffd_inline_add(&wp->region);
    protect_fills(wp, 1);
    if (!failed && unchanged)
        failed = uffd_wp_collect_and_protect(wp, 0, wp->region.length, wp->changed);
    if (failed) {
        leave(wp);
        uffd_inline_remove(&wp->region);
    }
    return failed;
}

// No lock; any thread. Takes over the file, not the descriptor, which lives until stop has returned.
static int start(const struct uffd_wp_options *options, struct uffd_wp **result)
{
    int failed = prepare(options, result);
    if (failed)
        return failed;
    failed = begin(*result, options->unchanged != 0);
    if (failed)
        give_up(*result);
    return failed;
}

// No lock; any thread with SIGBUS unblocked. Some kernels report the feature, take every call, and never tell of a write (arm64, 5.10):
// so it is done once, with one page. -ENOSYS if the write went unseen.
static int prove(int fd)
{
    size_t page = (size_t)getpagesize();
    void *scratch = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (scratch == MAP_FAILED)
        return -errno;
    *(volatile char *)scratch = 1;
    struct uffd_wp_options options = {
        .fd = fd, .address = (int64_t)(uintptr_t)scratch, .length = (int64_t)page, .page = (int64_t)page, .spill = -1, .unchanged = 1,
    };
    struct uffd_wp *wp = NULL;
    int failed = start(&options, &wp);
    if (!failed) {
        *(volatile char *)scratch = 2;
        failed = uffd_wp_state(wp, 0) & UFFD_OPEN ? 0 : -ENOSYS;
        uffd_wp_stop(wp);
        uffd_wp_free(wp);
    }
    munmap(scratch, page);
    return failed;
}

// No lock; any thread with SIGBUS unblocked. The content stays. -ENOTSUP if the SIGBUS handler is not ours, -ENOSYS if the kernel does
// not do what it says. After a failure the caller still has the file.
int uffd_wp_start(const struct uffd_wp_options *options, struct uffd_wp **result)
{
    static _Atomic(int) proved;
    int failed = uffd_sigbus_install();
    if (!failed && !uffd_sigbus_is_ours())
        failed = -ENOTSUP;
    if (!failed && !atomic_load(&proved)) {
        failed = prove((int)options->fd);
        atomic_store(&proved, !failed);
    }
    return failed ? failed : start(options, result);
}

// Waits for faults under way; one thread, when no call uses it. All pages are writable afterwards. The handler knows the region until
// uffd_wp_free: a thread that faulted before may get there only later.
int uffd_wp_stop(struct uffd_wp *wp)
{
    int failed = leave(wp);
    release(wp);
    return failed;
}

// Waits for handlers; one thread, after stop, when the region is given up or about to be served by another; at once if it is paged.
void uffd_wp_free(struct uffd_wp *wp)
{
    uffd_inline_remove(&wp->region);
    free(wp);
}
