// SPDX-License-Identifier: Apache-2.0
// Inline write-protect: the first write to a protected page is resolved by the writing thread in the SIGBUS handler, which saves the
// page if a snapshot needs it, opens it, and so knows that it was written. Linux 5.7; shared memory and huge pages 5.19.
#ifndef UFFD_WP_H
#define UFFD_WP_H

#include "uffd_inline.h"
#include "uffd_saved.h"

// What a page's state says. Only who has set BUSY protects, opens or changes the state.
enum {
    UFFD_BUSY = 1,     // whoever meets it at a closed gate is about to give the page back as it was
    UFFD_OPEN = 2,     // writable, so written since the last protecting
    UFFD_SNAP = 4,     // the running snapshot needs it
    UFFD_IN_MEMORY = 8,
    UFFD_IN_FILE = 16,
    UFFD_SAVED = UFFD_IN_MEMORY | UFFD_IN_FILE,  // its old content is aside
};

enum { UFFD_GATE_OPEN, UFFD_GATE_CLOSED, UFFD_GATE_ENDED };

// What Java asks for; all int64_t, because Java writes it as longs.
struct uffd_wp_options {
    int64_t fd;         // with UFFD_FEATURE_SIGBUS
    int64_t address;
    int64_t length;
    int64_t page;
    int64_t ahead;      // bytes opened at most for one write if it goes on where the last one ended
    int64_t limit;      // bytes of saved pages in memory
    int64_t spill;      // a file for the others, which is taken over if the start succeeds, or -1
    int64_t populate;   // the kernel does not protect pages that were never touched, so they are touched first, as small pages
    int64_t unchanged;  // protected at once: what is there counts as not written
    int64_t pager;      // the struct uffd_pager * that brings the region's pages inline, whose descriptor fd is; or 0
    int64_t memory;     // the memfd below the region, or -1
};

struct uffd_wp_stripe {
    _Alignas(128) struct uffd_stuck stuck;
    _Atomic(uint32_t) late;    // faults after the end
    _Atomic(size_t) expected;  // the page that a sequential writer writes next
    _Atomic(size_t) window;    // pages opened for the last one
};

struct uffd_wp {
    struct uffd_region region;
    struct uffd_paged *paged;  // brings the pages, or NULL
    int fd;
    int memory;  // what to read pages from that nobody brings: a hole read through the mapping would become memory; or -1
    size_t page;
    size_t pages;
    size_t ahead;
    int populate;
    _Atomic(uint32_t) gate;  // a futex: closed while pages are protected, and writers wait
    _Atomic(uint32_t) waiting;  // writers who found it closed and do not have their page yet
    _Atomic(uint32_t) *states;  // not bytes: for those riscv64 needs a library (libatomic)
    struct uffd_saved saved;
    uint64_t *changed;       // of the running snapshot
    uint64_t *kept;          // changed for the next one too
    struct uffd_wp_stripe stripes[UFFD_STRIPES];
};

int uffd_wp_start(const struct uffd_wp_options *options, struct uffd_wp **result);
int uffd_wp_open(struct uffd_wp *wp, size_t offset, size_t length);
void uffd_wp_collect(struct uffd_wp *wp, size_t offset, size_t length, uint64_t *written);
int uffd_wp_collect_and_protect(struct uffd_wp *wp, size_t offset, size_t length, uint64_t *written);
int uffd_wp_stop(struct uffd_wp *wp);
void uffd_wp_free(struct uffd_wp *wp);

// For snapshots.
int uffd_wp_take(struct uffd_wp *wp, size_t index);
void uffd_wp_publish(struct uffd_wp *wp, size_t index, unsigned state);
unsigned uffd_wp_settle(struct uffd_wp *wp, size_t index, unsigned keep, unsigned add);
unsigned uffd_wp_state(struct uffd_wp *wp, size_t index);
void uffd_wp_close_gate(struct uffd_wp *wp, size_t from, size_t to);
void uffd_wp_open_gate(struct uffd_wp *wp, uint32_t as);
int uffd_wp_fill(struct uffd_wp *wp, size_t index);
int uffd_wp_protect(struct uffd_wp *wp, size_t from, size_t to);

#endif
