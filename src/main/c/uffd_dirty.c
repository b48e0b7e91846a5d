// SPDX-License-Identifier: Apache-2.0
// A scan sets one bit for each written page in `found`, from where ranges are taken: so neighbours merge whatever pieces the kernel
// reports them in, what the library knows by itself (`kept`) joins them, and what nobody took can be kept for the next time.
#include "uffd_dirty.h"

#include "uffd_abi.h"
#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PM_SCAN_WP_MATCHING = 1, PAGE_IS_WRITTEN = 2, VECTOR = 512 };

struct uffd_dirty {
    int fd;
    int pagemap;
    int registered;
    uintptr_t base;
    size_t length;
    size_t page;      // the system's: huge pages are told apart as finely as the kernel does
    size_t next;      // the page from which the next range is looked for
    uint64_t *found;  // of the last scan, not taken yet
    uint64_t *kept;   // dirty at the next scan whatever the kernel says
    struct uffd_page_region vector[VECTOR];
};

// No lock; the caller has the tracker for itself.
static size_t words(const struct uffd_dirty *dirty)
{
    return (dirty->length / dirty->page + 63) / 64;
}

// No lock; the caller has the tracker for itself.
static void set_bits(uint64_t *bits, size_t from, size_t to)
{
    for (size_t i = from; i < to;) {
        if (i % 64 == 0 && to - i >= 64) {
            bits[i / 64] = UINT64_MAX;
            i += 64;
        } else {
            bits[i / 64] |= UINT64_C(1) << (i % 64);
            i++;
        }
    }
}

// No lock; the caller has the tracker for itself. The first page from `from` on whose bit is `wanted`, or `end`.
static size_t find_bit(const uint64_t *bits, size_t from, size_t end, int wanted)
{
    while (from < end) {
        uint64_t word = (wanted ? bits[from / 64] : ~bits[from / 64]) >> (from % 64);
        if (word) {
            from += (size_t)__builtin_ctzll(word);
            return from < end ? from : end;
        }
        from = (from / 64 + 1) * 64;
    }
    return end;
}

// No lock; any thread. One thing only can have been there before: nothing. Protecting the range once makes pages that were never
// touched count as clean, which some kernels do not do by themselves.
int uffd_dirty_start(int fd, uintptr_t base, size_t length, struct uffd_dirty **result)
{
    struct uffd_dirty *dirty = calloc(1, sizeof *dirty);
    if (!dirty)
        return -ENOMEM;
    *dirty = (struct uffd_dirty){ .fd = fd, .base = base, .length = length, .page = (size_t)getpagesize() };
    dirty->found = calloc(words(dirty), sizeof(uint64_t));
    dirty->kept = calloc(words(dirty), sizeof(uint64_t));
    dirty->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int64_t failed = !dirty->found || !dirty->kept ? -ENOMEM : dirty->pagemap < 0 ? -errno : 0;
    if (!failed)
        failed = uffd_register(fd, base, length, UFFDIO_REGISTER_MODE_WP);
    if (failed >= 0) {
        dirty->registered = 1;
        failed = uffd_writeprotect(fd, base, length, UFFDIO_WRITEPROTECT_MODE_WP);
    }
    if (failed) {
        uffd_dirty_stop(dirty);
        return (int)failed;
    }
    *result = dirty;
    return 0;
}

// No lock; the caller has the tracker for itself. One call of the kernel from `start` on; the address to go on from, or -errno.
// The vector being full is the only reason to stop early; walk_end alone is not to be trusted then (6.18, beyond 512 ranges).
static int64_t scan_some(struct uffd_dirty *dirty, uintptr_t start, uintptr_t end, int rearm)
{
    struct uffd_pm_scan_arg request = {
        .size = sizeof request, .flags = rearm ? PM_SCAN_WP_MATCHING : 0, .start = start, .end = end,
        .vec = (uintptr_t)dirty->vector, .vec_len = VECTOR, .category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
    };
    int count = ioctl(dirty->pagemap, UFFD_PAGEMAP_SCAN, &request);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++)
        set_bits(dirty->found, (size_t)((dirty->vector[i].start - dirty->base) / dirty->page),
                 (size_t)((dirty->vector[i].end - dirty->base) / dirty->page));
    if (count < VECTOR)
        return (int64_t)end;
    uintptr_t last = (uintptr_t)dirty->vector[count - 1].end;
    return (int64_t)(request.walk_end > last ? request.walk_end : last);
}

// No lock; the caller has the tracker for itself. Writers go on meanwhile, and each write is in this scan or in the next one.
// After an error part of the range is armed again and its report lost, so then all of it counts as written: -errno tells.
int uffd_dirty_scan(struct uffd_dirty *dirty, size_t offset, size_t length, int rearm)
{
    uintptr_t end = dirty->base + offset + length;
    int64_t at = (int64_t)(dirty->base + offset);
    for (size_t i = 0; i < words(dirty); i++)
        dirty->found[i] = 0;
    while (at >= 0 && (uintptr_t)at < end) {
        int64_t next = scan_some(dirty, (uintptr_t)at, end, rearm);
        at = next == -EINTR ? at : next;
    }
    if (at < 0)
        set_bits(dirty->found, offset / dirty->page, (offset + length) / dirty->page);
    for (size_t i = offset / dirty->page; i < (offset + length) / dirty->page; i++) {
        i = find_bit(dirty->kept, i, (offset + length) / dirty->page, 1);
        if (i < (offset + length) / dirty->page) {
            set_bits(dirty->found, i, i + 1);
            if (rearm)
                dirty->kept[i / 64] &= ~(UINT64_C(1) << (i % 64));
        }
    }
    dirty->next = 0;
    return at < 0 ? (int)at : 0;
}

// No lock; the caller has the tracker for itself. Takes ranges out of the last scan, in order and merged; how many, 0 at the end.
int uffd_dirty_ranges(struct uffd_dirty *dirty, struct uffd_dirty_range *ranges, int capacity)
{
    size_t pages = dirty->length / dirty->page;
    int count = 0;
    while (count < capacity) {
        size_t from = find_bit(dirty->found, dirty->next, pages, 1);
        if (from == pages)
            break;
        size_t to = find_bit(dirty->found, from, pages, 0);
        ranges[count++] = (struct uffd_dirty_range){ (int64_t)(from * dirty->page), (int64_t)((to - from) * dirty->page) };
        for (size_t i = from; i < to; i++)
            dirty->found[i / 64] &= ~(UINT64_C(1) << (i % 64));
        dirty->next = to;
    }
    return count;
}

// No lock; the caller has the tracker for itself. The range was changed by something that the kernel does not count as a write,
// such as discarding it, which also takes its protection away.
int uffd_dirty_mark(struct uffd_dirty *dirty, size_t offset, size_t length)
{
    set_bits(dirty->kept, offset / dirty->page, (offset + length) / dirty->page);
    return uffd_writeprotect(dirty->fd, dirty->base + offset, length, UFFDIO_WRITEPROTECT_MODE_WP);
}

// No lock; the caller has the tracker for itself. What was found and not taken is reported by the next scan.
void uffd_dirty_keep(struct uffd_dirty *dirty)
{
    for (size_t i = 0; i < words(dirty); i++)
        dirty->kept[i] |= dirty->found[i];
}

// No lock; the caller has the tracker for itself, for the last time.
int uffd_dirty_stop(struct uffd_dirty *dirty)
{
    // Never a range of somebody else: some kernels let any descriptor unregister it.
    int failed = dirty->registered ? uffd_unregister(dirty->fd, dirty->base, dirty->length) : 0;
    if (dirty->pagemap >= 0)
        close(dirty->pagemap);
    free(dirty->found);
    free(dirty->kept);
    free(dirty);
    return failed;
}
