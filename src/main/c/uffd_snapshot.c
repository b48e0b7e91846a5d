// SPDX-License-Identifier: Apache-2.0
#include "uffd_snapshot.h"

#include "uffd_bits.h"
#include "uffd_sys.h"
#include "uffd_wp.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

// Waits for pages that are taken; one thread, with no snapshot open, while nobody takes pages away. First all is protected while writers
// go on, and what they open again, which is little, once more behind the gate, for one instant. The image is what the region holds when
// the gate opens: until then every writer either has not reached a protected page, and what it wrote is in, or waits at the gate.
// After an error what was written counts as changed for the next one.
int uffd_snapshot_begin(struct uffd_wp *wp)
{
    int failed = uffd_wp_collect_and_protect(wp, 0, wp->region.length, wp->kept);
    if (failed)
        return failed;
    uffd_wp_close_gate(wp, 0, wp->pages);
    failed = uffd_wp_protect(wp, 0, wp->pages);
    if (!failed) {
        memcpy(wp->changed, wp->kept, uffd_bits_words(wp->pages) * sizeof(uint64_t));
        memset(wp->kept, 0, uffd_bits_words(wp->pages) * sizeof(uint64_t));
        for (size_t i = 0; i < wp->pages; i++) {
            if (uffd_wp_settle(wp, i, 0, UFFD_SNAP) & UFFD_OPEN)
                uffd_bits_set(wp->changed, i, i + 1);
        }
    }
    uffd_wp_open_gate(wp, UFFD_GATE_OPEN);
    return failed;
}

// No lock; any thread, while the snapshot is open. Ranges from an offset on; how many.
int uffd_snapshot_changed(const struct uffd_wp *wp, size_t offset, struct uffd_range *ranges, int capacity)
{
    size_t next = offset / wp->page;
    return uffd_bits_ranges(wp->changed, wp->pages, wp->page, &next, ranges, capacity);
}

// No lock; one thread at a time, while the snapshot is open.
void uffd_snapshot_keep(struct uffd_wp *wp)
{
    for (size_t i = 0; i < uffd_bits_words(wp->pages); i++)
        wp->kept[i] |= wp->changed[i];
}

// Waits for who has the page; any thread, in native state, while the snapshot is open. From the aside copy if there is one, else from the
// region, where the page cannot change while it is taken. The destination is never in a protected region.
static int read_page(struct uffd_wp *wp, size_t index, size_t at, size_t length, char *to)
{
    for (;;) {
        unsigned state = uffd_wp_state(wp, index);
        if (state & UFFD_SAVED) {
            int failed = uffd_saved_get(&wp->saved, at, length, state & UFFD_IN_MEMORY ? UFFD_SAVED_MEMORY : UFFD_SAVED_SPILLED, to);
            // Whoever releases a page says so before it drops the copy. A write, though of nothing, is never seen before those reads.
            state = atomic_fetch_or(&wp->states[index], 0);
            return failed || (state & UFFD_SAVED) ? failed : -ENODATA;
        }
        if (!(state & (UFFD_SNAP | UFFD_BUSY))) {
            int lost = atomic_load(&wp->saved.lost);
            return lost ? -lost : -ENODATA;
        }
        int failed = uffd_wp_fill(wp, index);
        if (failed)
            return failed;
        if (uffd_wp_take(wp, index)) {
            state = uffd_wp_state(wp, index);
            int mine = (state & UFFD_SNAP) && !(state & UFFD_SAVED);
            if (mine && wp->memory >= 0)
                failed = uffd_read_all(wp->memory, to, length, (int64_t)at, -EIO);
            else if (mine)
                uffd_saved_copy(to, (const char *)wp->region.base + at, length);
            uffd_wp_publish(wp, index, state);
            if (mine)
                return failed;
        } else {
            sched_yield();
        }
    }
}

// Waits for who has a page; any thread, in native state, while the snapshot is open. 0 or -errno.
int uffd_snapshot_read(struct uffd_wp *wp, size_t offset, size_t length, char *to)
{
    int failed = -atomic_load(&wp->saved.lost);
    for (size_t end = offset + length; offset < end && !failed;) {
        size_t index = offset / wp->page;
        size_t some = (index + 1) * wp->page - offset;
        some = some < end - offset ? some : end - offset;
        failed = read_page(wp, index, offset, some, to);
        offset += some;
        to += some;
    }
    return failed;
}

// Waits for who has a page; any thread, while the snapshot is open. Pages that are read meanwhile by another thread are read or -ENODATA.
void uffd_snapshot_release(struct uffd_wp *wp, size_t offset, size_t length)
{
    for (size_t i = offset / wp->page; i < (offset + length) / wp->page;) {
        if (!uffd_wp_take(wp, i)) {
            sched_yield();
            continue;
        }
        unsigned state = uffd_wp_state(wp, i);
        uffd_wp_publish(wp, i, state & UFFD_OPEN);
        if (state & UFFD_IN_MEMORY)
            uffd_saved_drop(&wp->saved, i);
        i++;
    }
}

// No lock; any thread, while the snapshot is open.
void uffd_snapshot_stats(const struct uffd_wp *wp, struct uffd_saved_stats *stats)
{
    *stats = (struct uffd_saved_stats){ atomic_load(&wp->saved.in_memory), atomic_load(&wp->saved.spilled) };
}

// Waits for pages that are taken; one thread, when no call uses the snapshot. Pages stay protected: the next one protects what was written.
void uffd_snapshot_end(struct uffd_wp *wp)
{
    uffd_wp_close_gate(wp, 0, wp->pages);
    for (size_t i = 0; i < wp->pages; i++)
        uffd_wp_settle(wp, i, UFFD_OPEN, 0);
    uffd_wp_open_gate(wp, UFFD_GATE_OPEN);
    uffd_saved_clear(&wp->saved);
}
