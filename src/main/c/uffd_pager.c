// SPDX-License-Identifier: Apache-2.0
#include "uffd_pager.h"

#include "uffd_abi.h"
#include "uffd_memory.h"
#include "uffd_sys.h"
#include "uffd_thread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// How long a fill goes on that the kernel refuses with EAGAIN: somebody changes the mappings, or forks, meanwhile.
enum { RETRY_LIMIT_MS = 10000 };

// No lock; any thread and signal handlers.
static void count(_Atomic(int64_t) *counter, int64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

// No lock; any thread and signal handlers.
static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// No lock; any thread and signal handlers. Copies pages of [from, to) as far as they are missing in one run: bytes done, or
// -EEXIST if the first page is there, or what else stopped it. ENOENT of a long run may only mean that it crosses two
// mappings, so the one page is tried before it is believed.
static int64_t copy_run(struct uffd_pager *pager, size_t from, size_t to)
{
    int64_t give_up = 0;
    for (;;) {
        uint64_t source = (uintptr_t)pager->source->base + from;
        int64_t done = uffd_copy(pager->fd, pager->base + from, source, to - from, 0);
        if (done > 0) {
            count(&pager->stats.pages, done / (int64_t)pager->page);
            count(&pager->stats.bytes, done);
            return done;
        }
        if (done == -EEXIST) {
            count(&pager->stats.present, 1);
            return done;
        }
        if (done == -ENOENT && to - from > pager->page) {
            to = from + pager->page;
        } else if (done == -EAGAIN) {
            if (give_up == 0)
                give_up = milliseconds() + RETRY_LIMIT_MS;
            else if (milliseconds() > give_up)
                return done;
        } else {
            return done;
        }
        count(&pager->stats.retried, 1);
    }
}

// No lock; any thread and signal handlers. Fills from the faulting page to the end of its window, then the part before it; each
// way only as far as nothing is there yet. (To go back to the window's start first would find the same present page for ever.)
// 0 if the faulting page is there afterwards; pages around it may fail without harm, they are tried again when touched.
int uffd_pager_fault(struct uffd_pager *pager, uintptr_t address)
{
    size_t at = (address - pager->base) & ~(pager->page - 1);
    size_t start = at & ~(pager->around - 1);
    size_t end = start + pager->around < pager->length ? start + pager->around : pager->length;
    count(&pager->stats.faults, 1);
    int failed = uffd_source_check(pager->source);
    if (failed) {
        count(&pager->stats.failed, 1);
        return failed;
    }
    int64_t done = copy_run(pager, at, end);
    if (done == -EEXIST || (done < 0 && atomic_load(&pager->ended)))
        return uffd_wake(pager->fd, pager->base + at, pager->page);
    if (done < 0) {
        count(&pager->stats.failed, 1);
        return (int)done;
    }
    if (start < at)
        copy_run(pager, start, at);
    return 0;
}

// No lock; any thread. Fills each missing page of the range; stops at the first that cannot be filled.
int uffd_pager_fill(struct uffd_pager *pager, size_t offset, size_t length)
{
    int failed = uffd_source_check(pager->source);
    size_t end = offset + length;
    while (!failed && offset < end) {
        int64_t done = copy_run(pager, offset, end);
        if (done == -EEXIST) {
            uffd_wake(pager->fd, pager->base + offset, pager->page);
            done = (int64_t)pager->page;
        }
        if (done < 0)
            failed = (int)done;
        else
            offset += (size_t)done;
    }
    if (failed)
        count(&pager->stats.failed, 1);
    return failed;
}

// No lock; any thread. Closes the region to everybody, empties and registers it, and opens it again: otherwise a huge page that
// the kernel puts there in between (THP) would make some pages present that were never filled.
static int register_empty(const struct uffd_pager *pager)
{
    void *base = (void *)pager->base;
    if (mprotect(base, pager->length, PROT_NONE) < 0)
        return -errno;
    int64_t failed = uffd_memory_advise(base, pager->length, MADV_DONTNEED);
    if (!failed)
        failed = uffd_register(pager->fd, pager->base, pager->length, UFFDIO_REGISTER_MODE_MISSING);
    if (mprotect(base, pager->length, PROT_READ | PROT_WRITE) < 0 && failed >= 0)
        failed = -errno;
    return failed < 0 ? (int)failed : 0;
}

// No lock; any thread. Takes over neither descriptor nor source: they live until uffd_pager_free.
int uffd_pager_start(const struct uffd_pager *wanted, struct uffd_pager **result)
{
    struct uffd_pager *pager = malloc(sizeof *pager);
    if (!pager)
        return -ENOMEM;
    *pager = *wanted;
    int failed = register_empty(pager);
    if (!failed)
        failed = uffd_thread_start(pager, &pager->thread);
    if (failed) {
        free(pager);
        return failed;
    }
    *result = pager;
    return 0;
}

// No lock; one thread, after uffd_pager_fill of the whole region and while nobody discards pages: a page still missing here
// would turn into zeros. A fault that was read before and is resolved after finds nothing registered, and its page in place.
int uffd_pager_finish(struct uffd_pager *pager)
{
    atomic_store(&pager->ended, 1);
    int failed = uffd_unregister(pager->fd, pager->base, pager->length);
    uffd_thread_stop(pager->thread);
    pager->thread = NULL;
    return failed;
}

// No lock; one thread. No reader ever sees a page that was not filled: at once all pages are gone behind a mapping that raises
// SIGBUS, and whoever waited for one is woken to find that out.
int uffd_pager_detach(struct uffd_pager *pager)
{
    atomic_store(&pager->ended, 1);
    int failed = uffd_memory_retire((void *)pager->base, pager->length);
    if (failed)
        return failed;
    uffd_wake(pager->fd, pager->base, pager->length);
    uffd_thread_stop(pager->thread);
    pager->thread = NULL;
    return 0;
}

// No lock; one thread, after finish or detach, when no call uses the pager any more.
void uffd_pager_free(struct uffd_pager *pager)
{
    free(pager);
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
_Noreturn void uffd_pager_abort(const struct uffd_pager *pager, uintptr_t address, int error)
{
    char line[400];
    const char *end = line + sizeof line - 1;
    size_t offset = (address - pager->base) & ~(pager->page - 1);
    char *at = append(line, end, "userfaultfd: the page at offset ");
    at = append_number(at, end, offset, 10);
    at = append(at, end, " (address 0x");
    at = append_number(at, end, pager->base + offset, 16);
    at = append(at, end, ") cannot be filled from source ");
    at = append(at, end, pager->source->name);
    at = append(at, end, ": errno ");
    at = append_number(at, end, (uint64_t)(error < 0 ? -error : error), 10);
    at = append(at, end, error == -EFAULT ? " (the source cannot be read: was its file cut short?)" : "");
    at = append(at, end, "; the process ends, because its memory would be wrong\n");
    if (write(STDERR_FILENO, line, (size_t)(at - line)) < 0)
        abort();
    abort();
}
