// SPDX-License-Identifier: Apache-2.0
// How a page of a paged region gets in place: the part that both engines, prefetch and close share. Everything here is safe in
// a signal handler. Returns a value >= 0 or -errno.
#ifndef UFFD_FILL_H
#define UFFD_FILL_H

#include "uffd_inline.h"
#include "uffd_source.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { UFFD_FAILURE_ABORT, UFFD_FAILURE_FILL };
enum { UFFD_WAS_PRESENT = 1 };

// What one thread, or few, count and remember, so that faulting threads do not fight for a cache line. Summed when asked for.
// Two looks at the clock are a sixtieth of a fault: the first is timed and every eighth after it, which stand for the others.
enum { UFFD_FAULTS_FOR_ONE_TIMED = 8 };

struct uffd_stripe {
    _Alignas(128) _Atomic(int64_t) faults;  // times a thread had to wait for a page
    _Atomic(int64_t) pages;                 // filled, for faults and ahead of them
    _Atomic(int64_t) present;               // fills that found the page there already
    _Atomic(int64_t) retried;               // fills that the kernel asked to try again
    _Atomic(int64_t) failed;                // pages that the source or the kernel refused
    _Atomic(int64_t) nanoseconds;           // spent on the faults that are timed
    _Atomic(size_t) expected;               // where the next fault is if the access is sequential
    _Atomic(size_t) window;                 // bytes filled for the last fault
    struct uffd_stuck stuck;                // a page that faulted though it is there
    _Atomic(uint32_t) late;                 // faults after the end
};

struct uffd_paged {
    struct uffd_region region;
    int fd;
    size_t page;
    size_t around;        // bytes filled for one fault, aligned to themselves; 0: grow with sequential access
    int on_failure;       // UFFD_FAILURE_*
    const struct uffd_source *source;
    const char *pattern;  // one page, for UFFD_FAILURE_FILL
    _Atomic(uint64_t) *failed_pages;  // one bit a page, for UFFD_FAILURE_FILL
    _Atomic(int) failed_errno;
    // UFFDIO_COPY_MODE_DONTWAKE if nobody waits; UFFDIO_COPY_MODE_WP while somebody beside the pager protects pages; read inside of
    // uffd_inline_enter.
    _Atomic(uint64_t) copy_mode;
    _Atomic(int) ended;   // no page is missing any more, or the region is gone: a fault that comes late is nobody's
    struct uffd_stripe stripes[UFFD_STRIPES];
};

int uffd_fill_is_there(const struct uffd_paged *paged, size_t at);
int uffd_fill_fault(struct uffd_paged *paged, uintptr_t address, unsigned stripe);
int uffd_fill_range(struct uffd_paged *paged, size_t offset, size_t length);
int uffd_fill_last(struct uffd_paged *paged);
int64_t uffd_fill_next_failed(const struct uffd_paged *paged, size_t offset);
int uffd_fill_resolve(struct uffd_region *region, uintptr_t address, unsigned stripe, int present);
_Noreturn void uffd_fill_abort(const struct uffd_paged *paged, uintptr_t address, int error);

#endif
