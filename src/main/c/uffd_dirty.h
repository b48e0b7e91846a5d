// SPDX-License-Identifier: Apache-2.0
// Which pages were written: the kernel notes it (UFFD_FEATURE_WP_ASYNC), PAGEMAP_SCAN tells and re-arms (Linux 6.7); or inline
// write-protect does both.
#ifndef UFFD_DIRTY_H
#define UFFD_DIRTY_H

#include <stddef.h>
#include <stdint.h>

struct uffd_dirty;
struct uffd_range;
struct uffd_wp;

int uffd_dirty_start(int fd, uintptr_t base, size_t length, struct uffd_dirty **result);
int uffd_dirty_start_inline(struct uffd_wp *wp, struct uffd_dirty **result);
int uffd_dirty_scan(struct uffd_dirty *dirty, size_t offset, size_t length, int rearm);
int uffd_dirty_ranges(struct uffd_dirty *dirty, struct uffd_range *ranges, int capacity);
void uffd_dirty_note(struct uffd_dirty *dirty, size_t offset, size_t length);
int uffd_dirty_mark(struct uffd_dirty *dirty, size_t offset, size_t length);
void uffd_dirty_keep(struct uffd_dirty *dirty);
int uffd_dirty_stop(struct uffd_dirty *dirty);

#endif
