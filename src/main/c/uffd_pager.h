// SPDX-License-Identifier: Apache-2.0
// One paged region: its descriptor, its source, and how a page gets from one to the other. Returns a value >= 0 or -errno.
#ifndef UFFD_PAGER_H
#define UFFD_PAGER_H

#include "uffd_source.h"

#include <stdatomic.h>
#include <stdint.h>

struct uffd_pager_stats {
    _Atomic(int64_t) faults;   // times a thread had to wait for a page
    _Atomic(int64_t) pages;    // filled, for faults and ahead of them
    _Atomic(int64_t) bytes;
    _Atomic(int64_t) present;  // fills that found the page there already
    _Atomic(int64_t) retried;  // fills that the kernel asked to try again
    _Atomic(int64_t) failed;   // fills that the source or the kernel refused
};

struct uffd_thread;

struct uffd_pager {
    int fd;
    uintptr_t base;
    size_t length;
    size_t page;
    size_t around;  // bytes filled for one fault, a power of two
    const struct uffd_source *source;
    struct uffd_thread *thread;
    _Atomic(int) ended;  // no page is missing any more, or the region is gone: a fault that comes late is nobody's
    struct uffd_pager_stats stats;
};

int uffd_pager_start(const struct uffd_pager *wanted, struct uffd_pager **result);
int uffd_pager_fill(struct uffd_pager *pager, size_t offset, size_t length);
int uffd_pager_finish(struct uffd_pager *pager);
int uffd_pager_detach(struct uffd_pager *pager);
void uffd_pager_free(struct uffd_pager *pager);

int uffd_pager_fault(struct uffd_pager *pager, uintptr_t address);
_Noreturn void uffd_pager_abort(const struct uffd_pager *pager, uintptr_t address, int error);

#endif
