// SPDX-License-Identifier: Apache-2.0
// A scan sets one bit for each written page in `found`, from where ranges are taken: so neighbours merge whatever pieces the kernel
// reports them in, what the library knows by itself (`kept`) joins them, and what nobody took can be kept for the next time. On
// kernels that do not note writes the bits come from inline write-protect.
#include "uffd_dirty.h"

#include "uffd_abi.h"
#include "uffd_bits.h"
#include "uffd_sys.h"
#include "uffd_wp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PM_SCAN_WP_MATCHING = 1, PAGE_IS_WRITTEN = 2, VECTOR = 512 };

struct uffd_dirty {
    struct uffd_wp *wp;  // notes the writes where the kernel does not, or NULL
    int fd;
    int pagemap;
    int registered;
    uintptr_t base;
    size_t length;
    size_t page;      // the system's, and finer than huge pages, if the kernel tells; the region's if inline write-protect does
    size_t next;      // the page from which the next range is looked for
    uint64_t *found;  // of the last scan, not taken yet
    uint64_t *kept;   // dirty at the next scan whatever the kernel says
    struct uffd_page_region vector[VECTOR];
};

// No lock; the caller has the tracker for itself.
static size_t pages_of(const struct uffd_dirty *dirty)
{
    return dirty->length / dirty->page;
}

// No lock; the caller has the tracker for itself.
static size_t words(const struct uffd_dirty *dirty)
{
    return uffd_bits_words(pages_of(dirty));
}

// No lock; any thread.
static int prepare(struct uffd_dirty made, struct uffd_dirty **result)
{
    struct uffd_dirty *dirty = calloc(1, sizeof *dirty);
    if (!dirty)
        return -ENOMEM;
    *dirty = made;
    dirty->found = calloc(words(dirty), sizeof(uint64_t));
    dirty->kept = calloc(words(dirty), sizeof(uint64_t));
    *result = dirty;
    if (dirty->found && dirty->kept)
        return 0;
    uffd_dirty_stop(dirty);
    return -ENOMEM;
}

// No lock; any thread. By the kernel. Protecting the range once makes pages that were never touched count as clean, which some
// kernels do not do by themselves.
int uffd_dirty_start(int fd, uintptr_t base, size_t length, struct uffd_dirty **result)
{
    struct uffd_dirty made = { .fd = fd, .base = base, .length = length, .page = (size_t)getpagesize(), .pagemap = -1 };
    struct uffd_dirty *dirty = NULL;
    int64_t failed = prepare(made, &dirty);
    if (failed)
        return (int)failed;
    dirty->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    failed = dirty->pagemap < 0 ? -errno : uffd_register(fd, base, length, UFFDIO_REGISTER_MODE_WP);
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

// No lock; any thread. By inline write-protect, started with everything protected, which outlives the tracker.
int uffd_dirty_start_inline(struct uffd_wp *wp, struct uffd_dirty **result)
{
    struct uffd_dirty made = { .wp = wp, .base = wp->region.base, .length = wp->region.length, .page = wp->page, .pagemap = -1 };
    return prepare(made, result);
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
        uffd_bits_set(dirty->found, (size_t)((dirty->vector[i].start - dirty->base) / dirty->page),
                 (size_t)((dirty->vector[i].end - dirty->base) / dirty->page));
    if (count < VECTOR)
        return (int64_t)end;
    uintptr_t last = (uintptr_t)dirty->vector[count - 1].end;
    return (int64_t)(request.walk_end > last ? request.walk_end : last);
}

// No lock; the caller has the tracker for itself. 0 or -errno: part of the range is armed again then and its report lost.
static int scan(struct uffd_dirty *dirty, size_t offset, size_t length, int rearm)
{
    uintptr_t end = dirty->base + offset + length;
    int64_t at = (int64_t)(dirty->base + offset);
    while (at >= 0 && (uintptr_t)at < end) {
        int64_t next = scan_some(dirty, (uintptr_t)at, end, rearm);
        at = next == -EINTR ? at : next;
    }
    return at < 0 ? (int)at : 0;
}

// No lock; the caller has the tracker for itself.
static int collect(struct uffd_dirty *dirty, size_t offset, size_t length, int rearm)
{
    if (!dirty->wp)
        return scan(dirty, offset, length, rearm);
    if (rearm)
        return uffd_wp_collect_and_protect(dirty->wp, offset, length, dirty->found);
    uffd_wp_collect(dirty->wp, offset, length, dirty->found);
    return 0;
}

// No lock; the caller has the tracker for itself. Writers go on, and each write is in this scan
// or in the next one. After an error all of the range counts as written: -errno tells.
int uffd_dirty_scan(struct uffd_dirty *dirty, size_t offset, size_t length, int rearm)
{
    size_t to = (offset + length) / dirty->page;
    uffd_bits_clear(dirty->found, 0, pages_of(dirty));
    int failed = collect(dirty, offset, length, rearm);
    if (failed)
        uffd_bits_set(dirty->found, offset / dirty->page, to);
    for (size_t i = uffd_bits_find(dirty->kept, offset / dirty->page, to, 1); i < to; i = uffd_bits_find(dirty->kept, i + 1, to, 1))
        uffd_bits_set(dirty->found, i, i + 1);
    if (rearm)
        uffd_bits_clear(dirty->kept, offset / dirty->page, to);
    dirty->next = 0;
    return failed;
}

// No lock; the caller has the tracker for itself. Takes ranges out of the last scan, in order and merged; how many, 0 at the end.
int uffd_dirty_ranges(struct uffd_dirty *dirty, struct uffd_range *ranges, int capacity)
{
    size_t from = dirty->next;
    int count = uffd_bits_ranges(dirty->found, pages_of(dirty), dirty->page, &dirty->next, ranges, capacity);
    uffd_bits_clear(dirty->found, from, dirty->next);
    return count;
}

// No lock; the caller has the tracker for itself. The next scan reports the pages of the range, whatever the kernel says.
void uffd_dirty_note(struct uffd_dirty *dirty, size_t offset, size_t length)
{
    uffd_bits_set(dirty->kept, offset / dirty->page, (offset + length + dirty->page - 1) / dirty->page);
}

// No lock; the caller has the tracker for itself. The range was changed by something that the kernel does not count as a write,
// such as discarding it, which also takes its protection away. Inline write-protect takes it for written, and protects it at the
// next scan.
int uffd_dirty_mark(struct uffd_dirty *dirty, size_t offset, size_t length)
{
    if (dirty->wp)
        return uffd_wp_open(dirty->wp, offset, length);
    uffd_dirty_note(dirty, offset, length);
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
