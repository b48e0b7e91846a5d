// SPDX-License-Identifier: Apache-2.0
#include "uffd_memory.h"

#include "uffd_abi.h"
#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

// No lock; any thread. A memfd of that length; its pages come when they are touched.
static int memory_file(const char *name, size_t length)
{
    int fd = (int)syscall(SYS_memfd_create, name, 1U /* MFD_CLOEXEC */);
    if (fd < 0)
        return -errno;
    if (length > 0 && ftruncate(fd, (off_t)length) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

// The file that stands in for regions that are gone. Opened with the first region and kept, so that giving one up never fails
// for want of a descriptor.
static _Atomic(int) nothing = -1;

// No lock; any thread.
static int prepare_retiring(void)
{
    if (atomic_load(&nothing) >= 0)
        return 0;
    int fd = memory_file("userfaultfd-retired", 0);
    if (fd < 0)
        return fd;
    int none = -1;
    if (!atomic_compare_exchange_strong(&nothing, &none, fd))
        close(fd);
    return 0;
}

// No lock; any thread. What touches the second mapping makes pages of zeros, which the first one does not miss any more. So nobody
// may touch it unasked: no child, no dump of a debugger, no merging into huge pages (EINVAL: the kernel has none), and, as long as it
// is closed (PROT_NONE), no mlockall(2).
static int keep_untouched(void *alias, size_t length)
{
    int failed = uffd_memory_advise(alias, length, MADV_DONTFORK);
    if (!failed)
        failed = uffd_memory_advise(alias, length, MADV_DONTDUMP);
    (void)uffd_memory_advise(alias, length, MADV_NOHUGEPAGE);
    return failed;
}

// No lock; any thread. The memfd mapped twice: the second mapping is for whoever makes the pages of the first.
static int map_shared(size_t length, struct uffd_memory *memory)
{
    int fd = memory_file("userfaultfd", length);
    if (fd < 0)
        return fd;
    void *first = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    int error = errno;
    void *second = MAP_FAILED;
    if (first != MAP_FAILED) {
        second = mmap(NULL, length, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        error = second == MAP_FAILED ? errno : -keep_untouched(second, length);
    }
    if (second == MAP_FAILED || error) {
        if (first != MAP_FAILED)
            munmap(first, length);
        if (second != MAP_FAILED)
            munmap(second, length);
        close(fd);
        return -error;
    }
    *memory = (struct uffd_memory){ (int64_t)(uintptr_t)first, (int64_t)(uintptr_t)second, fd };
    return 0;
}

// No lock; any thread. Huge pages are reserved here (no MAP_NORESERVE), so that a lack of them is an error now and no SIGBUS later, but
// for a control group's limit on them, of which the kernel tells only then.
int uffd_memory_map(int kind, uint64_t bytes, size_t page, struct uffd_memory *memory)
{
    size_t length = (size_t)bytes;
    if (length != bytes)
        return -ENOMEM;  // more than 32 bits can address
    int failed = prepare_retiring();
    if (failed)
        return failed;
    if (kind == UFFD_MEMORY_SHARED)
        return map_shared(length, memory);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (kind == UFFD_MEMORY_HUGE)
        flags |= MAP_HUGETLB | (__builtin_ctzll(page) << 26 /* MAP_HUGE_SHIFT */);
    else
        flags |= MAP_NORESERVE;
    void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED)
        return -errno;
    *memory = (struct uffd_memory){ (int64_t)(uintptr_t)address, 0, -1 };
    return 0;
}

// No lock; any thread. Who asked for the second mapping may touch it from now on.
int uffd_memory_open_alias(void *address, size_t length)
{
    return mprotect(address, length, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

// No lock; any thread. The addresses may be anybody's afterwards: only when nothing can still use them.
int uffd_memory_unmap(void *address, size_t length)
{
    return munmap(address, length) < 0 ? -errno : 0;
}

// No lock; any thread. Puts a mapping of an empty file over the range, at once for all threads: its physical memory is given
// back, the addresses stay taken, and every access raises SIGBUS. Waiters of a userfaultfd sleep on until UFFDIO_WAKE.
int uffd_memory_retire(void *address, size_t length)
{
    int failed = prepare_retiring();
    if (failed)
        return failed;
    int flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE;
    return mmap(address, length, PROT_READ | PROT_WRITE, flags, atomic_load(&nothing), 0) == MAP_FAILED ? -errno : 0;
}

// No lock; any thread.
int uffd_memory_advise(void *address, size_t length, int advice)
{
    return madvise(address, length, advice) < 0 ? -errno : 0;
}

// No lock; any thread. Takes every page out of private memory that nobody can touch (PROT_NONE), also if it is locked (mlock(2)) and the
// kernel can (5.18). Before Linux 5.18 madvise(2) refuses huge pages: there a new mapping takes the place of the old one, in one step,
// which is told by 1.
int uffd_memory_empty(void *address, size_t length, size_t page)
{
    int result = uffd_memory_advise(address, length, MADV_DONTNEED);
    if (result == -EINVAL)
        result = uffd_memory_advise(address, length, MADV_DONTNEED_LOCKED);
    if (result != -EINVAL || page == (size_t)getpagesize())
        return result;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | (__builtin_ctzll(page) << 26 /* MAP_HUGE_SHIFT */);
    if (mmap(address, length, PROT_NONE, flags, -1, 0) != MAP_FAILED)
        return 1;
    // Without enough huge pages for it the kernel has unmapped the old one all the same: the addresses have to stay taken.
    result = -errno;
    uffd_memory_retire(address, length);
    return result;
}

// No lock; any thread. Takes every page out of the memfd. Before Linux 6.4 the kernel may put huge pages of zeros where pages are missing
// ("mm/khugepaged: skip shmem with userfaultfd").
static int empty_file(int memory, void *address, size_t length)
{
    (void)uffd_memory_advise(address, length, MADV_NOHUGEPAGE);
    return fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)length) < 0 ? -errno : 0;
}

// No lock; one thread; nobody can touch the region (PROT_NONE). Afterwards each of its pages is missing, and a fault is told to
// the descriptor, until uffd_memory_end_registration. Registered first: a region that belongs to somebody else keeps what it holds.
int uffd_memory_register_empty(int fd, void *address, int memory, size_t length, size_t page)
{
    int64_t result = uffd_register(fd, (uintptr_t)address, length, UFFDIO_REGISTER_MODE_MISSING);
    if (result >= 0) {
        // Shared pages stay in the memfd when only the mapping lets go of them.
        result = memory >= 0 ? empty_file(memory, address, length) : uffd_memory_empty(address, length, page);
    }
    if (result > 0) // a new mapping, which nobody has registered yet
        result = uffd_register(fd, (uintptr_t)address, length, UFFDIO_REGISTER_MODE_MISSING);
    // A forked child's mapping is not registered: what is missing would be zeros there, and in shared memory here too.
    if (result >= 0)
        result = uffd_memory_advise(address, length, MADV_DONTFORK);
    return result < 0 ? (int)result : 0;
}

// No lock; one thread, when no page is missing, or nothing is registered any more. Forked children have the region again; if the
// kernel refuses that, they go on without it.
void uffd_memory_end_registration(void *address, size_t length)
{
    uffd_memory_advise(address, length, MADV_DOFORK);
}

// No lock; any thread. msync(MS_ASYNC) does nothing but look whether each page of the range is mapped: ENOMEM if not.
int uffd_memory_is_mapped(void *address, size_t length)
{
    return msync(address, length, MS_ASYNC) < 0 ? -errno : 0;
}

// No lock; any thread. One bit for each page of `page` bytes, by mincore(2) in pieces that fit on the stack.
int uffd_memory_residency(void *address, size_t length, size_t page, uint64_t *bits)
{
    unsigned char in_core[1024];
    size_t small = (size_t)getpagesize();
    size_t step = page / small;
    size_t index = 0;
    for (size_t done = 0; done < length;) {
        size_t pages = (length - done) / small;
        if (pages > sizeof in_core)
            pages = sizeof in_core;
        if (mincore((char *)address + done, pages * small, in_core) < 0)
            return -errno;
        for (size_t i = 0; i < pages; i++, index++) {
            if (index % step == 0 && (in_core[i] & 1))
                bits[index / step / 64] |= UINT64_C(1) << (index / step % 64);
        }
        done += pages * small;
    }
    return 0;
}
