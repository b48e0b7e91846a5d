// SPDX-License-Identifier: Apache-2.0
#include "uffd_fill.h"

#include "uffd_sys.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// How long a fill goes on that the kernel refuses with EAGAIN: somebody changes the mappings, or forks, meanwhile.
static const int64_t RETRY_NANOSECONDS = INT64_C(10000000000);
// What is filled for the first fault of an access, and at most when it goes on sequentially: beyond that the copied pages fall out
// of the processor's cache before they are read, and a scan becomes slower again (make bench).
enum { FIRST_WINDOW = 32 * 1024, LAST_WINDOW = 256 * 1024 };

// No lock; any thread and signal handlers.
static int64_t count(_Atomic(int64_t) *counter, int64_t by)
{
    return atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

// No lock; any thread and signal handlers. Pages that failed once, were discarded and are now filled: they are good again.
static void clear_failed(struct uffd_paged *paged, size_t from, size_t length)
{
    if (!paged->failed_pages || atomic_load_explicit(&paged->failed_errno, memory_order_relaxed) == 0)
        return;
    for (size_t index = from / paged->page; index < (from + length) / paged->page; index++)
        atomic_fetch_and(&paged->failed_pages[index / 64], ~(UINT64_C(1) << (index % 64)));
}

// No lock; any thread and signal handlers.
static void mark_failed(struct uffd_paged *paged, size_t at, int error)
{
    size_t index = at / paged->page;
    atomic_store(&paged->failed_errno, -error);
    atomic_fetch_or(&paged->failed_pages[index / 64], UINT64_C(1) << (index % 64));
}

// No lock; any thread and signal handlers. Of what was just copied, the pages from a new end of the file on: they may have zeros, and
// can be seen already. They are as bad as one that cannot be had. How many bytes are good, or -errno if none is.
static int64_t trust(struct uffd_paged *paged, size_t from, size_t to, struct uffd_stripe *stripe)
{
    size_t good;
    int failed = uffd_source_reach(paged->source, &good);
    if (!failed)
        failed = -EFAULT;
    good &= ~(paged->page - 1);
    good = good < from ? from : good < to ? good : to;
    for (size_t at = good; at < to; at += paged->page) {
        if (paged->on_failure != UFFD_FAILURE_FILL)
            uffd_fill_abort(paged, paged->region.base + at, failed);
        mark_failed(paged, at, failed);
        count(&stripe->failed, 1);
    }
    return good > from ? (int64_t)(good - from) : failed;
}

// No lock; any thread and signal handlers. Whether a page is there for certain: nothing has to be had from the source for it. 0 for one
// that is there but swapped out.
int uffd_fill_is_there(const struct uffd_paged *paged, size_t at)
{
    unsigned char in_core = 0;
    return mincore((void *)(paged->region.base + at), 1, &in_core) == 0 && (in_core & 1);
}

// No lock; any thread and signal handlers. What EEXIST means: of a huge page the kernel says so too when the process's control group
// (hugetlb) may have no more of them, or none is where its memory policy allows. Those are never swapped out, so mincore(2) is right.
static int what_exists(const struct uffd_paged *paged, size_t at)
{
    return paged->page == (size_t)getpagesize() || uffd_fill_is_there(paged, at) ? -EEXIST : -ENOMEM;
}

// No lock; any thread and signal handlers. Copies pages of [from, to) as far as they are missing in one run: bytes done, or
// -EEXIST if the first page is there, or what else stopped it. ENOENT of a long run may only mean that it crosses two
// mappings, so the one page is tried before it is believed.
static int64_t copy_run(struct uffd_paged *paged, size_t from, size_t to, const struct uffd_lent *lent, struct uffd_stripe *stripe)
{
    int64_t give_up = 0;
    bool populated = paged->page == (size_t)getpagesize();
    for (;;) {
        int64_t done = uffd_copy(paged->fd, paged->region.base + from, lent->address + (from - lent->from), to - from,
                                 atomic_load(&paged->copy_mode));
        if (done > 0) {
            count(&stripe->pages, done / (int64_t)paged->page);
            clear_failed(paged, from, (size_t)done);
            return trust(paged, from, from + (size_t)done, stripe);
        }
        if (done == -EEXIST)
            done = what_exists(paged, from);
        if (done == -EEXIST) {
            count(&stripe->present, 1);
            return done;
        }
        if (done == -ENOENT && to - from > paged->page) {
            to = from + paged->page;
        } else if (done == -ENOMEM && !populated) {
            // For a huge page whose source is not mapped in the kernel takes a second one meanwhile, of which there may be none. Or the
            // page was there and somebody has just taken it away.
            populated = true;
            int failed = uffd_populate(lent->address + (from - lent->from), paged->page);
            if (failed)
                return failed == -EFAULT ? failed : done;
        } else if (done == -EAGAIN) {
            if (give_up == 0)
                give_up = uffd_nanoseconds() + RETRY_NANOSECONDS;
            else if (uffd_nanoseconds() > give_up)
                return done;
            sched_yield();
        } else {
            return done;
        }
        count(&stripe->retried, 1);
    }
}

// No lock; any thread and signal handlers. Without the policy there are no bits.
static bool is_failed(const struct uffd_paged *paged, size_t at)
{
    size_t index = at / paged->page;
    return paged->failed_pages && (atomic_load(&paged->failed_pages[index / 64]) >> (index % 64) & 1);
}

// No lock; any thread and signal handlers. The policy FILL: the page becomes the pattern and is noted, before it can be seen. One
// that another thread filled well at that moment stays noted: rather a false alarm than the other way round.
static int fill_pattern(struct uffd_paged *paged, size_t at, int error)
{
    mark_failed(paged, at, error);
    int64_t done = uffd_copy(paged->fd, paged->region.base + at, (uintptr_t)paged->pattern, paged->page,
                             atomic_load(&paged->copy_mode));
    if (done == -EEXIST)
        done = what_exists(paged, at);
    if (done == -EEXIST)
        return uffd_wake(paged->fd, paged->region.base + at, paged->page);
    return done < 0 ? (int)done : 0;
}

// No lock; any thread and signal handlers. The window for a fault: aligned around the page, or from the page on, twice as long
// as the last one if the access is where that one ended.
static void choose_window(struct uffd_paged *paged, size_t at, struct uffd_stripe *stripe, size_t *start, size_t *end)
{
    size_t window = paged->around;
    *start = at;
    if (window > 0) {
        *start = at & ~(window - 1);
    } else if (atomic_load_explicit(&stripe->expected, memory_order_relaxed) == at && at > 0) {
        window = 2 * atomic_load_explicit(&stripe->window, memory_order_relaxed);
        window = window < LAST_WINDOW ? window : LAST_WINDOW;
    } else {
        window = FIRST_WINDOW;
    }
    window = window > paged->page ? window : paged->page;
    *end = paged->region.length - *start < window ? paged->region.length : *start + window;
    atomic_store_explicit(&stripe->window, window, memory_order_relaxed);
    atomic_store_explicit(&stripe->expected, *end, memory_order_relaxed);
}

// No lock; any thread and signal handlers. Only what is lent can be filled; what had to be read as a whole is, unless told otherwise.
static void fit_window(const struct uffd_paged *paged, const struct uffd_lent *lent, size_t *start, size_t *end)
{
    if (*start < lent->from || (paged->source->runs && paged->around == 0))
        *start = lent->from;
    if (*end > lent->to || (paged->source->runs && paged->around == 0))
        *end = lent->to;
}

// No lock; any thread and signal handlers. Fills from the faulting page to the end of its window, then the part before it; each
// way only as far as nothing is there yet. (To go back to the window's start first would find the same present page for ever.)
static int fill_around(struct uffd_paged *paged, size_t at, struct uffd_stripe *stripe)
{
    size_t start, end;
    choose_window(paged, at, stripe, &start, &end);
    struct uffd_lent lent;
    int64_t done = uffd_source_lend(paged->source, at, &lent);
    if (done == 0) {
        fit_window(paged, &lent, &start, &end);
        done = copy_run(paged, at, end, &lent, stripe);
        if (done > 0 && start < at)
            copy_run(paged, start, at, &lent, stripe);
        uffd_source_give_back(paged->source, &lent);
    }
    // A page that somebody else brought meanwhile is good, whatever became of the source.
    if (done == -EEXIST || (done < 0 && uffd_fill_is_there(paged, at))) {
        uffd_wake(paged->fd, paged->region.base + at, paged->page);
        return UFFD_WAS_PRESENT;
    }
    if (done > 0)
        atomic_store_explicit(&stripe->stuck.count, 0, memory_order_relaxed);
    if (done < 0) {
        if (done == -ENOENT)
            return -ENOENT;
        count(&stripe->failed, 1);
        return paged->on_failure == UFFD_FAILURE_FILL ? fill_pattern(paged, at, (int)done) : (int)done;
    }
    return 0;
}

// No lock; any thread and signal handlers. 0 if the faulting page is there afterwards, UFFD_WAS_PRESENT if somebody else put it there
// before; pages around it may fail without harm, they are tried again when touched. -ENOENT if the range is not registered (any more).
int uffd_fill_fault(struct uffd_paged *paged, uintptr_t address, unsigned index)
{
    struct uffd_stripe *stripe = &paged->stripes[index];
    size_t at = (address - paged->region.base) & ~(paged->page - 1);
    if (count(&stripe->faults, 1) % UFFD_FAULTS_FOR_ONE_TIMED != 0)
        return fill_around(paged, at, stripe);
    int64_t start = uffd_nanoseconds();
    int result = fill_around(paged, at, stripe);
    count(&stripe->nanoseconds, uffd_nanoseconds() - start);
    return result;
}

// Signal handler; blocks as long as the source takes.
int uffd_fill_resolve(struct uffd_region *region, uintptr_t address, unsigned index, int present)
{
    struct uffd_paged *paged = (struct uffd_paged *)region;
    struct uffd_stripe *stripe = &paged->stripes[index];
    (void)present;  // the kernel knows better: the page may be there by now
    // A region that is filled completely or gone: the fault is older than that, and the instruction has to be run again. One
    // that goes on faulting is the business of who comes after us.
    if (atomic_load(&paged->ended))
        return uffd_inline_is_over(&stripe->late) ? -ENOENT : 0;
    int failed = uffd_fill_fault(paged, address, index);
    if (failed == -ENOENT)
        return atomic_load(&paged->ended) ? 0 : -ENOENT;
    if (failed < 0)
        uffd_fill_abort(paged, address, failed);
    if (failed == UFFD_WAS_PRESENT && uffd_inline_is_stuck(&stripe->stuck, region, (address - region->base) & ~(paged->page - 1)))
        uffd_fill_abort(paged, address, -EEXIST);
    return 0;
}

// No lock; any thread. Has the byte at `at` lent: what is lent already if that had to be read. Begins and ends with nothing lent,
// an empty range.
static int64_t lend_at(struct uffd_paged *paged, size_t at, struct uffd_lent *lent)
{
    if (paged->source->runs && at >= lent->from && at < lent->to)
        return 0;
    uffd_source_give_back(paged->source, lent);
    int failed = uffd_source_lend(paged->source, at, lent);
    if (failed)
        *lent = (struct uffd_lent){ 0, 0, 0, -1 };
    return failed;
}

// No lock; any thread. Copies what is missing from `at` on, as far as it is lent. Nothing is lent for a page that is there.
static int64_t copy_some(struct uffd_paged *paged, size_t at, size_t end, struct uffd_lent *lent, struct uffd_stripe *stripe)
{
    if (uffd_fill_is_there(paged, at)) {
        count(&stripe->present, 1);
        return -EEXIST;
    }
    int64_t failed = lend_at(paged, at, lent);
    if (failed)
        return failed;
    if (end > lent->to)
        end = lent->to;
    // Between two looks at the size of a file that may be cut short.
    size_t piece = LAST_WINDOW > paged->page ? LAST_WINDOW : paged->page;
    if (paged->source->fd >= 0 && end - at > piece)
        end = at + piece;
    unsigned here = uffd_stripe_here();
    uint32_t entered = uffd_inline_enter(here);
    int64_t done = copy_run(paged, at, end, lent, stripe);
    uffd_inline_exit(here, entered);
    return done;
}

// No lock; any thread. One run of a range: bytes done, of a page that is there too unless it is the pattern.
static int64_t fill_some(struct uffd_paged *paged, size_t at, size_t end, struct uffd_lent *lent, struct uffd_stripe *stripe)
{
    int64_t done = copy_some(paged, at, end, lent, stripe);
    if (done == -EEXIST) {
        if (is_failed(paged, at))
            return -atomic_load(&paged->failed_errno);
        uffd_wake(paged->fd, paged->region.base + at, paged->page);
        return (int64_t)paged->page;
    }
    return done;
}

// No lock; any thread. Fills each missing page of the range; stops at the first that cannot be filled, or that failed before.
int uffd_fill_range(struct uffd_paged *paged, size_t offset, size_t length)
{
    struct uffd_stripe *stripe = &paged->stripes[uffd_stripe_here()];
    struct uffd_lent lent = { 0, 0, 0, -1 };
    int64_t done = 0;
    for (size_t end = offset + length; offset < end; offset += (size_t)done) {
        done = fill_some(paged, offset, end, &lent, stripe);
        if (done < 0)
            break;
    }
    uffd_source_give_back(paged->source, &lent);
    if (done < 0)
        count(&stripe->failed, 1);
    return done < 0 ? (int)done : 0;
}

// No lock; any thread. Fills the whole region for the last time: what cannot be filled becomes the pattern if the policy is so.
int uffd_fill_last(struct uffd_paged *paged)
{
    if (paged->on_failure != UFFD_FAILURE_FILL)
        return uffd_fill_range(paged, 0, paged->region.length);
    struct uffd_stripe *stripe = &paged->stripes[uffd_stripe_here()];
    struct uffd_lent lent = { 0, 0, 0, -1 };
    int failed = 0;
    for (size_t at = 0; at < paged->region.length && !failed;) {
        int64_t done = copy_some(paged, at, paged->region.length, &lent, stripe);
        if (done < 0) {
            failed = done == -EEXIST ? 0 : fill_pattern(paged, at, (int)done);
            if (done != -EEXIST && !failed)
                count(&stripe->failed, 1);
            done = (int64_t)paged->page;
        }
        at += (size_t)done;
    }
    uffd_source_give_back(paged->source, &lent);
    return failed;
}

// No lock; any thread. The offset of the first failed page from `offset` on, or -ENOENT.
int64_t uffd_fill_next_failed(const struct uffd_paged *paged, size_t offset)
{
    if (!paged->failed_pages)
        return -ENOENT;
    for (size_t index = offset / paged->page; index < paged->region.length / paged->page;) {
        uint64_t bits = atomic_load(&paged->failed_pages[index / 64]) >> (index % 64);
        if (bits & 1)
            return (int64_t)(index * paged->page);
        index = bits ? index + (size_t)__builtin_ctzll(bits) : (index / 64 + 1) * 64;
    }
    return -ENOENT;
}

// No lock; any thread and signal handlers.
static char *append(char *to, const char *end, const char *text)
{
    while (*text && to < end)
        *to++ = *text++;
    return to;
}

// No lock; any thread and signal handlers.
static char *append_number(char *to, const char *end, uint64_t number, unsigned base)
{
    char digits[24];
    char *digit = digits + sizeof digits;
    *--digit = 0;
    do {
        *--digit = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    return append(to, end, digit);
}

// No lock; any thread and signal handlers. The process ends with one clear line: nobody may go on with a page that is wrong.
_Noreturn void uffd_fill_abort(const struct uffd_paged *paged, uintptr_t address, int error)
{
    char line[600];
    const char *end = line + sizeof line - 1;
    size_t offset = (address - paged->region.base) & ~(paged->page - 1);
    char *at = append(line, end, "userfaultfd: the page at offset ");
    at = append_number(at, end, offset, 10);
    at = append(at, end, " (address 0x");
    at = append_number(at, end, paged->region.base + offset, 16);
    at = append(at, end, ") cannot be filled from source ");
    uint64_t place;
    at = append(at, end, uffd_source_name(paged->source, offset, &place));
    if (paged->source->runs) {
        at = append(at, end, " at offset ");
        at = append_number(at, end, place, 10);
    }
    at = append(at, end, ": errno ");
    at = append_number(at, end, (uint64_t)(error < 0 ? -error : error), 10);
    at = append(at, end, error == -EFAULT ? " (the source cannot be read: was its file cut short?)" : "");
    at = append(at, end, error == -EBADMSG ? " (the checksum of the pages there is wrong)" : "");
    at = append(at, end, error == -EEXIST ? " (it is there and faults all the same)" : "");
    at = append(at, end, "; the process ends, because its memory would be wrong\n");
    if (write(STDERR_FILENO, line, (size_t)(at - line)) < 0)
        abort();
    abort();
}
