// SPDX-License-Identifier: Apache-2.0
#include "uffd_saved.h"

#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// No lock; any thread. Takes over the file.
int uffd_saved_open(struct uffd_saved *saved, size_t length, size_t page, int64_t limit, int spill)
{
    *saved = (struct uffd_saved){ .length = length, .page = page, .limit = limit, .spill = spill };
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    saved->memory = memory;
    // A huge page for one saved page would be 512 times the memory that was counted. EINVAL: a kernel without them.
    madvise(memory, length, MADV_NOHUGEPAGE);
    return 0;
}

// No lock; one thread, when nobody uses it any more. What was never opened is all zeros but its file.
void uffd_saved_close(struct uffd_saved *saved)
{
    if (saved->memory)
        munmap(saved->memory, saved->length);
    if (saved->spill >= 0)
        close(saved->spill);
}

#ifdef __SANITIZE_THREAD__
// No lock; any thread and signal handlers. Write-protection orders this copy after each write to the page, which TSan cannot know.
__attribute__((no_sanitize_thread)) void uffd_saved_copy(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((volatile char *)to)[i] = from[i];
}
#else
// No lock; any thread and signal handlers.
void uffd_saved_copy(char *to, const char *from, size_t length)
{
    memcpy(to, from, length);
}
#endif

// No lock; any thread and signal handlers. The first reason is kept.
int uffd_saved_lose(struct uffd_saved *saved, int error)
{
    int none = 0;
    atomic_compare_exchange_strong(&saved->lost, &none, error);
    return UFFD_SAVED_NOT;
}

// No lock; any thread and signal handlers.
static int spill(struct uffd_saved *saved, size_t index, const char *from)
{
    for (size_t done = 0; done < saved->page;) {
        ssize_t n = pwrite(saved->spill, from + done, saved->page - done, (off_t)(index * saved->page + done));
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return uffd_saved_lose(saved, n == 0 ? ENOSPC : errno);
    }
    atomic_fetch_add(&saved->spilled, (int64_t)saved->page);
    return UFFD_SAVED_SPILLED;
}

// No lock; signal handlers and any thread, which has this page for itself. Where the page was kept: UFFD_SAVED_*.
int uffd_saved_put(struct uffd_saved *saved, size_t index, const char *from)
{
    int64_t page = (int64_t)saved->page;
    if (atomic_load_explicit(&saved->lost, memory_order_relaxed))
        return UFFD_SAVED_NOT;
    if (atomic_fetch_add(&saved->in_memory, page) + page <= saved->limit) {
        uffd_saved_copy(saved->memory + index * saved->page, from, saved->page);
        return UFFD_SAVED_MEMORY;
    }
    atomic_fetch_sub(&saved->in_memory, page);
    return saved->spill >= 0 ? spill(saved, index, from) : uffd_saved_lose(saved, ENOSPC);
}

// No lock; any thread, while the page stays kept. 0 or -errno.
int uffd_saved_get(const struct uffd_saved *saved, size_t at, size_t length, int where, char *to)
{
    if (where == UFFD_SAVED_MEMORY) {
        uffd_saved_copy(to, saved->memory + at, length);
        return 0;
    }
    return uffd_read_all(saved->spill, to, length, (int64_t)at, -EIO);
}

// No lock; one thread, for a page in memory that nobody reads any more and that is not kept again before the next clear.
void uffd_saved_drop(struct uffd_saved *saved, size_t index)
{
    madvise(saved->memory + index * saved->page, saved->page, MADV_DONTNEED);
    atomic_fetch_sub(&saved->in_memory, (int64_t)saved->page);
}

// No lock; one thread, while nobody puts or gets.
void uffd_saved_clear(struct uffd_saved *saved)
{
    madvise(saved->memory, saved->length, MADV_DONTNEED);
    // A file that cannot be made shorter only keeps its room on the disk until it is closed.
    if (atomic_exchange(&saved->spilled, 0) > 0 && ftruncate(saved->spill, 0) < 0)
        atomic_store(&saved->spilled, 0);
    atomic_store(&saved->in_memory, 0);
    atomic_store(&saved->lost, 0);
}

// No lock; any thread. A file in a directory that has no name, or none any more when this returns; its descriptor.
int uffd_saved_unnamed_file(const char *directory)
{
#ifdef O_TMPFILE
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd >= 0 ? fd : -errno;
#endif
    char name[4096];
    int length = snprintf(name, sizeof name, "%s/userfaultfd-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof name)
        return -ENAMETOOLONG;
    int file = mkostemp(name, O_CLOEXEC);
    if (file < 0)
        return -errno;
    if (unlink(name) < 0) {
        int error = errno;
        close(file);
        return -error;
    }
    return file;
}
