// SPDX-License-Identifier: Apache-2.0
// Inline write-protect without a JVM, for the sanitizers: writers that never stop, and snapshots, collects, starts and ends beside
// them. Every image has to be one instant of all writers, and every change exact. Exit 0 and a line a case; anything else is a failure.
#include "uffd_abi.h"
#include "uffd_bits.h"
#include "uffd_dirty.h"
#include "uffd_memory.h"
#include "uffd_saved.h"
#include "uffd_snapshot.h"
#include "uffd_sys.h"
#include "uffd_wp.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Each writer stamps its pages one after the other with one version after the other; in between it adds one to a page of the rest.
enum { WRITERS = 3, STAMPED = 40, RARE = 300, PAGES = WRITERS * (STAMPED + RARE), ROUNDS = 100 };

#define MUST(condition) must((condition) != 0, #condition, __LINE__)

static size_t page;
static size_t words;  // a page

static void must(int condition, const char *text, int line)
{
    if (!condition) {
        fprintf(stderr, "line %d: %s (errno %d)\n", line, text, errno);
        _exit(1);
    }
}

#ifdef __SANITIZE_THREAD__
// A page goes to the file by pwrite(2): write-protection orders it after each write to the page, which TSan cannot know.
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^spill$\n";
}
#endif

// Called by the shim between two steps whose order matters: now and then, the other threads get there first.
void harness_moment(void);
void harness_moment(void)
{
    static _Atomic(unsigned) calls;
    unsigned call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) * 2654435761U;
    if (call >> 27 == 0)
        usleep(call >> 16 & 0xff);
    else if (call >> 28 == 1)
        sched_yield();
}

struct region {
    struct uffd_memory memory;
    size_t length;
    int fd;
    struct uffd_wp *wp;
    _Atomic(int) over;
    pthread_mutex_t pages;  // as in Java: who takes pages away, against who begins a snapshot
    pthread_t writers[WRITERS];
};

static struct region region;

static _Atomic(uint64_t) *word_of(size_t at, size_t word)
{
    return (_Atomic(uint64_t) *)(intptr_t)region.memory.address + at * words + word;
}

static void stamp(size_t at, uint64_t version)
{
    atomic_store_explicit(word_of(at, 0), version, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(word_of(at, words - 1), version, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

// The second writer's first page follows the first writer's last one, so that an image has to respect what one saw of the other.
static void *write_on(void *argument)
{
    size_t self = (size_t)(uintptr_t)argument;
    unsigned seed = (unsigned)self + 1;
    uint64_t version = atomic_load(word_of(self * STAMPED, 0));
    while (!atomic_load_explicit(&region.over, memory_order_relaxed)) {
        version++;
        for (size_t i = 0; i < STAMPED; i++)
            stamp(self * STAMPED + i, version);
        if (self == 1)
            atomic_store(word_of(STAMPED, 1), atomic_load(word_of(STAMPED - 1, words - 1)));
        size_t rare = WRITERS * STAMPED + self * RARE + (size_t)rand_r(&seed) % RARE;
        atomic_store(word_of(rare, 7), atomic_load(word_of(rare, 7)) + 1);
        if (version % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void check_instant(const uint64_t *image)
{
    for (size_t writer = 0; writer < WRITERS; writer++) {
        uint64_t first = image[writer * STAMPED * words];
        uint64_t before = first;
        for (size_t i = 0; i < STAMPED; i++) {
            const uint64_t *at = image + (writer * STAMPED + i) * words;
            MUST(at[0] <= before && at[words - 1] <= at[0] && first - at[words - 1] <= 1);
            before = at[words - 1];
        }
    }
    MUST(image[STAMPED * words + 1] <= image[(STAMPED - 1) * words + words - 1]);
}

static void check_changed(const uint64_t *before, const uint64_t *now, int exact)
{
    struct uffd_range ranges[64];
    uint64_t reported[(PAGES + 63) / 64] = { 0 };
    int count = 64;
    for (size_t from = 0; count == 64;) {
        count = uffd_snapshot_changed(region.wp, from, ranges, 64);
        for (int i = 0; i < count; i++) {
            from = (size_t)(ranges[i].offset + ranges[i].length);
            uffd_bits_set(reported, (size_t)ranges[i].offset / page, from / page);
        }
    }
    int opened = 0;
    for (size_t i = 0; i < PAGES; i++) {
        int differs = memcmp(before + i * words, now + i * words, page) != 0;
        int said = (int)(reported[i / 64] >> (i % 64) & 1);
        MUST(said >= differs);
        opened += said - differs;
    }
    // A writer whose page was opened and protected again before its instruction ran again.
    MUST(!exact || opened <= WRITERS);
}

static void open_region(int kind)
{
    memset(&region, 0, sizeof region);
    pthread_mutex_init(&region.pages, NULL);
    region.length = PAGES * page;
    MUST(uffd_memory_map(kind, region.length, page, &region.memory) == 0);
}

static void start(int unpopulated, size_t ahead, int64_t limit, int spill, int unchanged)
{
    struct uffd_created created;
    uint64_t features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    region.fd = uffd_create(UFFD_CLOSE_ON_EXEC | UFFD_NON_BLOCKING | UFFD_FAULTS_OF_USER_MODE, UFFD_OPEN_AUTO,
                            features | (unpopulated ? 0 : UFFD_FEATURE_WP_UNPOPULATED), 0, &created);
    MUST(region.fd >= 0);
    struct uffd_wp_options options = {
        .fd = region.fd, .address = region.memory.address, .length = (int64_t)region.length, .page = (int64_t)page,
        .ahead = (int64_t)(ahead * page), .limit = limit, .spill = spill < 0 ? -1 : uffd_saved_unnamed_file("/tmp"),
        .populate = unpopulated, .unchanged = unchanged, .memory = region.memory.fd,
    };
    MUST(uffd_wp_start(&options, &region.wp) == 0);
}

static void stop(void)
{
    MUST(uffd_wp_stop(region.wp) == 0);
    close(region.fd);
}

static void let_write(void)
{
    for (uintptr_t i = 0; i < WRITERS; i++)
        MUST(pthread_create(&region.writers[i], NULL, write_on, (void *)i) == 0);
}

static void close_region(void)
{
    atomic_store(&region.over, 1);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(region.writers[i], NULL);
    uffd_wp_free(region.wp);
    uffd_memory_unmap((void *)(intptr_t)region.memory.address, region.length);
    if (region.memory.alias)
        uffd_memory_unmap((void *)(intptr_t)region.memory.alias, region.length);
    if (region.memory.fd >= 0)
        close((int)region.memory.fd);
}

static void *read_beside(void *argument)
{
    MUST(uffd_snapshot_read(region.wp, 0, region.length, argument) == 0);
    return NULL;
}

// Pages of the rest are opened and emptied, as by MemoryRegion.discard: the image has to have what was there.
static void take_away(int kind, unsigned *seed)
{
    size_t at = (WRITERS * STAMPED + (size_t)rand_r(seed) % (WRITERS * RARE - 8)) * page;
    pthread_mutex_lock(&region.pages);
    MUST(uffd_wp_open(region.wp, at, 8 * page) == 0);
    MUST(madvise((char *)(intptr_t)region.memory.address + at, 8 * page, kind == UFFD_MEMORY_SHARED ? MADV_REMOVE : MADV_DONTNEED) == 0);
    pthread_mutex_unlock(&region.pages);
}

struct disturber {
    int kind;
    _Atomic(int) over;
};

static void *disturb(void *argument)
{
    struct disturber *self = argument;
    unsigned seed = 5;
    while (!atomic_load(&self->over)) {
        take_away(self->kind, &seed);
        usleep(500);
    }
    return NULL;
}

// One snapshot after the other under full load.
static void instants(int kind, int unpopulated, size_t ahead, int64_t limit, int spill, int discards)
{
    open_region(kind);
    start(unpopulated, ahead, limit, spill, 0);
    let_write();
    uint64_t *before = calloc(PAGES, page), *now = calloc(PAGES, page), *again = calloc(PAGES, page);
    struct disturber disturber = { .kind = kind };
    pthread_t beside;
    if (discards)
        MUST(pthread_create(&beside, NULL, disturb, &disturber) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_mutex_lock(&region.pages);
        MUST(uffd_snapshot_begin(region.wp) == 0);
        pthread_mutex_unlock(&region.pages);
        pthread_t reader;
        MUST(pthread_create(&reader, NULL, read_beside, now) == 0);
        MUST(uffd_snapshot_read(region.wp, 0, region.length, (char *)again) == 0);
        pthread_join(reader, NULL);
        MUST(memcmp(now, again, region.length) == 0);
        check_instant(now);
        if (round > 0)
            check_changed(before, now, ahead == 0 && !discards);
        if (round % 3 == 0) {
            uffd_snapshot_release(region.wp, 0, region.length / 2 / page * page);
            MUST(uffd_snapshot_read(region.wp, 0, page, (char *)again) == -ENODATA);
            MUST(uffd_snapshot_read(region.wp, region.length - page, page, (char *)again) == 0);
        }
        uffd_snapshot_end(region.wp);
        uint64_t *old = before;
        before = now;
        now = old;
    }
    atomic_store(&disturber.over, 1);
    if (discards)
        pthread_join(beside, NULL);
    stop();
    close_region();
    free(before);
    free(now);
    free(again);
}

// A limit and no file: the snapshot is lost, the writers are not, and the next one is whole.
static void lost(void)
{
    open_region(UFFD_MEMORY_ANONYMOUS);
    start(0, 0, (int64_t)(4 * page), -1, 0);
    let_write();
    char *image = malloc(region.length);
    int times = 0;
    for (int round = 0; round < 100; round++) {
        MUST(uffd_snapshot_begin(region.wp) == 0);
        usleep(300);
        int failed = uffd_snapshot_read(region.wp, 0, region.length, image);
        MUST(failed == 0 || failed == -ENOSPC);
        times += failed != 0;
        uffd_snapshot_end(region.wp);
    }
    MUST(times > 0);
    stop();
    close_region();
    free(image);
}

// Starts and stops while writers write, some of them in the middle of a snapshot's saving, others with a tracker.
static void comes_and_goes(void)
{
    open_region(UFFD_MEMORY_ANONYMOUS);
    let_write();
    struct uffd_wp *last = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        start(round % 4 == 3, 0, INT64_MAX, -1, round % 2);
        if (last)
            uffd_wp_free(last);
        if (round % 2) {
            struct uffd_dirty *dirty;
            struct uffd_range range;
            MUST(uffd_dirty_start_inline(region.wp, &dirty) == 0);
            for (int i = 0; i < 5; i++) {
                MUST(uffd_dirty_scan(dirty, 0, region.length, 1) == 0);
                while (uffd_dirty_ranges(dirty, &range, 1) == 1)
                    MUST(range.offset >= 0 && (size_t)(range.offset + range.length) <= region.length);
            }
            MUST(uffd_dirty_stop(dirty) == 0);
        } else {
            MUST(uffd_snapshot_begin(region.wp) == 0);
            sched_yield();
            uffd_snapshot_end(region.wp);
        }
        stop();
        last = region.wp;
    }
    close_region();
}

static void say(const char *name)
{
    puts(name);
    fflush(stdout);
}

int main(void)
{
    page = (size_t)getpagesize();
    words = page / sizeof(uint64_t);
    say("instants, anonymous memory");
    instants(UFFD_MEMORY_ANONYMOUS, 0, 0, INT64_MAX, -1, 0);
    say("instants, shared memory");
    instants(UFFD_MEMORY_SHARED, 0, 0, INT64_MAX, -1, 0);
    say("instants, pages that were never touched are not protected");
    instants(UFFD_MEMORY_ANONYMOUS, 1, 0, INT64_MAX, -1, 0);
    say("instants, pages opened ahead, most of them spilled");
    instants(UFFD_MEMORY_ANONYMOUS, 0, 8, (int64_t)(20 * page), 0, 0);
    say("instants, pages taken away, anonymous memory");
    instants(UFFD_MEMORY_ANONYMOUS, 0, 0, INT64_MAX, -1, 1);
    say("instants, pages taken away, shared memory");
    instants(UFFD_MEMORY_SHARED, 0, 0, INT64_MAX, -1, 1);
    say("lost snapshots");
    lost();
    say("starts and stops under writers");
    comes_and_goes();
    puts("all cases passed");
    return 0;
}
