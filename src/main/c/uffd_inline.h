// SPDX-License-Identifier: Apache-2.0
// The regions whose faults the faulting thread resolves itself, in the SIGBUS handler (UFFD_FEATURE_SIGBUS): where they are, and
// what resolves a fault in each.
#ifndef UFFD_INLINE_H
#define UFFD_INLINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { UFFD_STRIPES = 16 };

// The first member of what a region's operation works with.
struct uffd_region {
    uintptr_t base;
    size_t length;
    // Signal handler. 0 if the faulting instruction can run again, -ENOENT if the fault is not the region's business. `present`: the
    // processor tells that the page is there; 0 if it is not or the processor does not tell.
    int (*resolve)(struct uffd_region *region, uintptr_t address, unsigned stripe, int present);
    // How often pages were taken away or protected: since then a page that was there and writable may fault again.
    _Atomic(size_t) disturbed;
};

// A place that faults again and again though nothing is to be done for it.
struct uffd_stuck {
    _Atomic(size_t) at;
    _Atomic(size_t) disturbed;
    _Atomic(uint32_t) count;
    _Atomic(int64_t) since;
};

int uffd_inline_add(struct uffd_region *region);
void uffd_inline_remove(struct uffd_region *region);
void uffd_inline_replace(struct uffd_region *old, struct uffd_region *by);
void uffd_inline_quiesce(void);
uint32_t uffd_inline_enter(unsigned stripe);
void uffd_inline_exit(unsigned stripe, uint32_t entered);
int uffd_inline_resolve(uintptr_t address, int present);
int uffd_inline_is_over(_Atomic(uint32_t) *late);
int uffd_inline_is_stuck(struct uffd_stuck *stuck, struct uffd_region *region, size_t at);
void uffd_inline_disturb(uintptr_t address, size_t length);
unsigned uffd_stripe_here(void);
int64_t uffd_nanoseconds(void);

#endif
