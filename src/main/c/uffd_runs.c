// SPDX-License-Identifier: Apache-2.0
// Read, not mapped: so an error of the file is an errno and not a second SIGBUS, and the bytes whose checksum was right are the
// very bytes that are copied.
#include "uffd_runs.h"

#include "uffd_crc32c.h"
#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 16 };

struct run_file {
    int fd;
    char *name;
};

struct uffd_runs {
    size_t page;
    size_t longest;         // run in bytes
    size_t pages;
    size_t count;
    size_t files;
    struct uffd_run *runs;
    uint32_t *run_of;       // the run that each page is in
    struct run_file *file;
    _Atomic(int64_t) failed;  // a page whose run was found bad, -ENOENT if none was
    char *memory;           // zeros as long as a run, and then a room of that length for each slot
    _Atomic(int) taken[SLOTS];
};

// No lock; any thread and signal handlers. Waits as long as the others read and copy, none of whom needs any Java thread, nor
// a second slot unless a signal handler of the program interrupts him, outside of the SIGBUS handler, and faults itself.
static int take_slot(struct uffd_runs *runs)
{
    for (;;) {
        for (int i = 0; i < SLOTS; i++) {
            int expected = 0;
            if (atomic_load_explicit(&runs->taken[i], memory_order_relaxed) == 0
                && atomic_compare_exchange_strong(&runs->taken[i], &expected, 1))
                return i;
        }
        sched_yield();
    }
}

// No lock; any thread and signal handlers.
void uffd_runs_give_back(struct uffd_runs *runs, const struct uffd_lent *lent)
{
    if (lent->slot >= 0)
        atomic_store_explicit(&runs->taken[lent->slot], 0, memory_order_release);
}

// No lock; any thread and signal handlers; blocks as long as the file takes. Lends the pages around `at` that come from one run,
// once its checksum is right: -EBADMSG if it is not.
int uffd_runs_lend(struct uffd_runs *runs, size_t at, struct uffd_lent *lent)
{
    size_t first = at / runs->page;
    size_t last = first + 1;
    uint32_t number = runs->run_of[first];
    const struct uffd_run *run = &runs->runs[number];
    size_t start = (size_t)run->offset / runs->page;
    size_t end = start + (size_t)run->length / runs->page;
    while (first > start && runs->run_of[first - 1] == number)
        first--;
    while (last < end && runs->run_of[last] == number)
        last++;
    lent->from = first * runs->page;
    lent->to = last * runs->page;
    lent->slot = -1;
    char *bytes = runs->memory;
    if (run->file >= 0) {
        lent->slot = take_slot(runs);
        bytes += (size_t)(lent->slot + 1) * runs->longest;
        int failed = uffd_read_all(runs->file[run->file].fd, bytes, (size_t)run->length, run->file_offset,
                                   -EFAULT);  // as for every source that was cut short
        if (!failed && uffd_crc32c(bytes, (size_t)run->length) != (uint32_t)run->crc)
            failed = -EBADMSG;
        if (failed) {
            atomic_store_explicit(&runs->failed, (int64_t)at, memory_order_relaxed);
            uffd_runs_give_back(runs, lent);
            return failed;
        }
    }
    lent->address = (uintptr_t)bytes + (lent->from - (size_t)run->offset);
    return 0;
}

// No lock; any thread and signal handlers. The file that has the run of a page, and where in it; NULL for zeros.
const char *uffd_runs_name(const struct uffd_runs *runs, size_t at, uint64_t *file_offset)
{
    const struct uffd_run *run = &runs->runs[runs->run_of[at / runs->page]];
    *file_offset = (uint64_t)run->file_offset;
    return run->file < 0 ? NULL : runs->file[run->file].name;
}

// No lock; any thread. Where the page is that was last asked for and could not be had, or -ENOENT.
int64_t uffd_runs_failed(const struct uffd_runs *runs)
{
    return atomic_load_explicit(&runs->failed, memory_order_relaxed);
}

// No lock; one thread.
static int open_files(struct uffd_runs *runs, const char *name)
{
    for (size_t i = 0; i < runs->files; i++, name += strlen(name) + 1) {
        runs->file[i].name = strdup(name);
        runs->file[i].fd = open(name, O_RDONLY | O_CLOEXEC);
        if (runs->file[i].fd < 0)
            return -errno;
        if (!runs->file[i].name)
            return -ENOMEM;
    }
    return 0;
}

// No lock; one thread. -EINVAL for runs that do not fit the region, or leave a page out.
static int spread(struct uffd_runs *runs)
{
    for (size_t i = 0; i < runs->pages; i++)
        runs->run_of[i] = UINT32_MAX;
    for (size_t i = 0; i < runs->count; i++) {
        const struct uffd_run *run = &runs->runs[i];
        size_t first = (size_t)run->offset / runs->page;
        size_t pages = (size_t)run->length / runs->page;
        if (run->offset < 0 || run->length <= 0 || pages > runs->pages || first > runs->pages - pages
            || run->file >= (int64_t)runs->files)
            return -EINVAL;
        if ((size_t)run->length > runs->longest)
            runs->longest = (size_t)run->length;
        for (size_t page = first; page < first + pages; page++)
            runs->run_of[page] = (uint32_t)i;
    }
    for (size_t i = 0; i < runs->pages; i++) {
        if (runs->run_of[i] == UINT32_MAX)
            return -EINVAL;
    }
    return 0;
}

// No lock; one thread.
static int prepare(struct uffd_runs *runs, const struct uffd_run_options *options)
{
    atomic_init(&runs->failed, -ENOENT);
    runs->page = (size_t)options->page;
    runs->pages = (size_t)options->length / runs->page;
    runs->count = (size_t)options->count;
    runs->files = (size_t)options->files;
    runs->file = malloc(runs->files * sizeof *runs->file + 1);
    // First of all: a failure closes what is opened.
    for (size_t i = 0; runs->file && i < runs->files; i++)
        runs->file[i] = (struct run_file){ -1, NULL };
    runs->runs = malloc(runs->count * sizeof *runs->runs + 1);
    runs->run_of = malloc(runs->pages * sizeof *runs->run_of);
    if (!runs->file || !runs->runs || !runs->run_of)
        return -ENOMEM;
    memcpy(runs->runs, (const void *)(uintptr_t)options->runs, runs->count * sizeof *runs->runs);
    int failed = open_files(runs, (const char *)(uintptr_t)options->names);
    if (!failed)
        failed = spread(runs);
    if (failed)
        return failed;
    runs->memory = mmap(NULL, (SLOTS + 1) * runs->longest, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (runs->memory == MAP_FAILED) {
        runs->memory = NULL;
        return -errno;
    }
    return 0;
}

// Not in a signal handler; any thread. Copies the options and what they point at.
int uffd_runs_open(const struct uffd_run_options *options, struct uffd_runs **result)
{
    uffd_crc32c_prepare();
    struct uffd_runs *runs = calloc(1, sizeof *runs);
    if (!runs)
        return -ENOMEM;
    int failed = prepare(runs, options);
    if (failed) {
        uffd_runs_close(runs);
        return failed;
    }
    *result = runs;
    return 0;
}

// No lock; one thread, when nobody has anything of it lent.
void uffd_runs_close(struct uffd_runs *runs)
{
    for (size_t i = 0; runs->file && i < runs->files; i++) {
        if (runs->file[i].fd >= 0)
            close(runs->file[i].fd);
        free(runs->file[i].name);
    }
    if (runs->memory)
        munmap(runs->memory, (SLOTS + 1) * runs->longest);
    free(runs->file);
    free(runs->runs);
    free(runs->run_of);
    free(runs);
}
