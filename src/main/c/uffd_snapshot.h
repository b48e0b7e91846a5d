// SPDX-License-Identifier: Apache-2.0
// The image of a write-protected region at one instant. Returns a value >= 0 or -errno.
#ifndef UFFD_SNAPSHOT_H
#define UFFD_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

struct uffd_range;
struct uffd_saved_stats;
struct uffd_wp;

int uffd_snapshot_begin(struct uffd_wp *wp);
int uffd_snapshot_changed(const struct uffd_wp *wp, size_t offset, struct uffd_range *ranges, int capacity);
void uffd_snapshot_keep(struct uffd_wp *wp);
int uffd_snapshot_read(struct uffd_wp *wp, size_t offset, size_t length, char *to);
void uffd_snapshot_release(struct uffd_wp *wp, size_t offset, size_t length);
void uffd_snapshot_stats(const struct uffd_wp *wp, struct uffd_saved_stats *stats);
void uffd_snapshot_end(struct uffd_wp *wp);

#endif
