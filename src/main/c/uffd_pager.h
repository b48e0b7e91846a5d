// SPDX-License-Identifier: Apache-2.0
// The life of a paged region: registered, served by an engine, and ended without a page ever reading as a silent zero.
#ifndef UFFD_PAGER_H
#define UFFD_PAGER_H

#include <stddef.h>
#include <stdint.h>

enum { UFFD_ENGINE_INLINE, UFFD_ENGINE_THREAD };

struct uffd_paged;
struct uffd_source;
struct uffd_pager;

// What Java asks for; all int64_t, because Java writes it as longs.
struct uffd_pager_options {
    int64_t fd;          // with UFFD_FEATURE_SIGBUS for UFFD_ENGINE_INLINE, non-blocking for UFFD_ENGINE_THREAD
    int64_t address;
    int64_t length;
    int64_t page;
    int64_t source;      // a struct uffd_source *
    int64_t around;      // 0: grow with sequential access
    int64_t engine;      // UFFD_ENGINE_*
    int64_t threads;     // of UFFD_ENGINE_THREAD
    int64_t on_failure;  // UFFD_FAILURE_*
    int64_t memory;      // the memfd below shared memory, -1 for private memory
};

// Sums since the start; all int64_t, because Java reads it as longs.
struct uffd_pager_stats {
    int64_t faults;
    int64_t pages;
    int64_t present;
    int64_t retried;
    int64_t failed;
    int64_t nanoseconds;
};

struct uffd_paged *uffd_pager_paged(struct uffd_pager *pager);
int uffd_pager_start(const struct uffd_pager_options *options, struct uffd_pager **result);
int uffd_pager_fill(struct uffd_pager *pager, size_t offset, size_t length);
int uffd_pager_finish(struct uffd_pager *pager);
int uffd_pager_detach(struct uffd_pager *pager);
void uffd_pager_free(struct uffd_pager *pager);
void uffd_pager_stats(const struct uffd_pager *pager, struct uffd_pager_stats *stats);
int uffd_pager_failed_errno(const struct uffd_pager *pager);
int64_t uffd_pager_next_failed(const struct uffd_pager *pager, size_t offset);

#endif
