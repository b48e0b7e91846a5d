// SPDX-License-Identifier: Apache-2.0
#include "uffd_source.h"

#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// No lock; any thread. The end of a long name tells more than its beginning.
static void set_name(struct uffd_source *source, const char *name)
{
    size_t length = strlen(name);
    if (length >= sizeof source->name)
        name += length - (sizeof source->name - 1);
    memcpy(source->name, name, strlen(name) + 1);
}

// No lock; any thread. Maps [offset, offset + length) read-only over zeros that reach to `mapped`. What is less than a page at the
// end is read instead: a mapped page would go on with whatever follows in the file, now or when it grows.
static int map_file(struct uffd_source *source, int64_t offset, size_t length, size_t mapped)
{
    void *base = mmap(NULL, mapped, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    source->base = base;
    source->mapped = mapped;
    size_t page = (size_t)getpagesize();
    size_t rest = length % page;
    size_t whole = length - rest;
    if (whole > 0 && mmap(base, whole, PROT_READ, MAP_SHARED | MAP_FIXED, source->fd, offset) == MAP_FAILED)
        return -errno;
    if (rest == 0)
        return 0;
    char *last = source->base + whole;
    if (mprotect(last, page, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    int failed = uffd_read_all(source->fd, last, rest, offset + (int64_t)whole, -EINVAL);
    return failed == 0 && mprotect(last, page, PROT_READ) < 0 ? -errno : failed;
}

// No lock; any thread and signal handlers. A file cut inside a page reads as zeros from there without any error: so its size is
// looked at before each fill, and after it. The descriptor's position is nobody else's. How much of the source there is, SIZE_MAX if
// all of it; or -errno, of a file system that has to ask somebody (NFS, FUSE).
int uffd_source_reach(const struct uffd_source *source, size_t *reach)
{
    *reach = SIZE_MAX;
    if (source->fd < 0)
        return 0;
    off_t size;
    do
        size = lseek(source->fd, 0, SEEK_END);
    while (size < 0 && errno == EINTR);
    if (size < 0) {
        *reach = 0;
        return -errno;
    }
    if (size < source->file_end)
        *reach = size > source->file_begin ? (size_t)(size - source->file_begin) : 0;
    return 0;
}

// No lock; any thread. -EINVAL if the file is shorter than asked; the source owns its descriptor and mapping.
int uffd_source_file(const char *path, int64_t offset, int64_t length, size_t mapped, struct uffd_source **result)
{
    struct uffd_source *source = calloc(1, sizeof *source);
    if (!source)
        return -ENOMEM;
    set_name(source, path);
    source->fd = open(path, O_RDONLY | O_CLOEXEC);
    source->file_begin = offset;
    source->file_end = offset + length;
    int failed = 0;
    if (source->fd < 0)
        failed = -errno;
    if (!failed) {
        size_t reach;
        failed = uffd_source_reach(source, &reach);
        if (!failed && reach < SIZE_MAX)
            failed = -EINVAL;
    }
    if (!failed)
        failed = map_file(source, offset, (size_t)length, mapped);
    if (failed) {
        uffd_source_free(source);
        return failed;
    }
    *result = source;
    return 0;
}

// No lock; any thread. The memory is the caller's and has to outlive the source; without an address the source is zeros.
int uffd_source_memory(char *address, size_t length, struct uffd_source **result)
{
    struct uffd_source *source = calloc(1, sizeof *source);
    if (!source)
        return -ENOMEM;
    source->fd = -1;
    source->base = address;
    set_name(source, address ? "memory" : "zeros");
    if (!address) {
        void *zeros = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (zeros == MAP_FAILED) {
            free(source);
            return -errno;
        }
        source->base = zeros;
        source->mapped = length;
    }
    *result = source;
    return 0;
}

// Not in a signal handler; any thread. Copies the options and what they point at.
int uffd_source_runs(const struct uffd_run_options *options, struct uffd_source **result)
{
    struct uffd_source *source = calloc(1, sizeof *source);
    if (!source)
        return -ENOMEM;
    source->fd = -1;
    set_name(source, "checkpoint");
    int failed = uffd_runs_open(options, &source->runs);
    if (failed) {
        uffd_source_free(source);
        return failed;
    }
    *result = source;
    return 0;
}

// No lock; any thread and signal handlers. What of the source around `at` can be copied now, or why nothing can.
int uffd_source_lend(const struct uffd_source *source, size_t at, struct uffd_lent *lent)
{
    if (source->runs)
        return uffd_runs_lend(source->runs, at, lent);
    *lent = (struct uffd_lent){ 0, SIZE_MAX, (uintptr_t)source->base, -1 };
    size_t reach;
    int failed = uffd_source_reach(source, &reach);
    return !failed && reach < SIZE_MAX ? -EFAULT : failed;
}

// No lock; any thread and signal handlers. Once for each lend that did not fail.
void uffd_source_give_back(const struct uffd_source *source, const struct uffd_lent *lent)
{
    if (source->runs)
        uffd_runs_give_back(source->runs, lent);
}

// No lock; any thread and signal handlers. What to name in a message about the byte at `at`, and where in it the byte is.
const char *uffd_source_name(const struct uffd_source *source, size_t at, uint64_t *file_offset)
{
    const char *name = source->runs ? uffd_runs_name(source->runs, at, file_offset) : NULL;
    if (name)
        return name;
    *file_offset = at;
    return source->name;
}

// No lock; any thread, not in a signal handler. File and offset of the byte at `at`, at -1 of the last that could not be had, as a
// text that is ended by a zero byte; its length, or -ENOENT.
int uffd_source_place(const struct uffd_source *source, int64_t at, char *text, size_t room)
{
    if (source->runs && at < 0)
        at = uffd_runs_failed(source->runs);
    if (!source->runs || at < 0)
        return -ENOENT;
    uint64_t file_offset;
    const char *name = uffd_source_name(source, (size_t)at, &file_offset);
    return snprintf(text, room, "%s at offset %" PRIu64, name, file_offset);
}

// No lock; any thread. Nobody reads from the source any more.
void uffd_source_free(struct uffd_source *source)
{
    if (source->runs)
        uffd_runs_close(source->runs);
    if (source->mapped > 0)
        munmap(source->base, source->mapped);
    if (source->fd >= 0)
        close(source->fd);
    free(source);
}
