// SPDX-License-Identifier: Apache-2.0
// Where a snapshot keeps the old pages: in memory up to a limit, then in a file, or the snapshot is lost. Nobody ever waits here
// for anything but the kernel.
#ifndef UFFD_SAVED_H
#define UFFD_SAVED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct uffd_saved {
    char *memory;   // a mirror of the region, which takes memory only where a page is kept
    size_t length;
    size_t page;
    int64_t limit;  // bytes in memory
    int spill;      // a file that is a mirror of the region too, or -1
    _Atomic(int64_t) in_memory;
    _Atomic(int64_t) spilled;
    _Atomic(int) lost;  // 0, or the errno value for which the snapshot is lost
};

// What is kept now; all int64_t, because Java reads it as longs.
struct uffd_saved_stats {
    int64_t memory;
    int64_t spilled;
};

enum { UFFD_SAVED_NOT, UFFD_SAVED_MEMORY, UFFD_SAVED_SPILLED };

int uffd_saved_open(struct uffd_saved *saved, size_t length, size_t page, int64_t limit, int spill);
void uffd_saved_close(struct uffd_saved *saved);
int uffd_saved_put(struct uffd_saved *saved, size_t index, const char *from);
int uffd_saved_lose(struct uffd_saved *saved, int error);
int uffd_saved_get(const struct uffd_saved *saved, size_t at, size_t length, int where, char *to);
void uffd_saved_drop(struct uffd_saved *saved, size_t index);
void uffd_saved_clear(struct uffd_saved *saved);
void uffd_saved_copy(char *to, const char *from, size_t length);
int uffd_saved_unnamed_file(const char *directory);

#endif
