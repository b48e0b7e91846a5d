// SPDX-License-Identifier: Apache-2.0
#include "uffd_sys.h"

#include "uffd_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

// No lock; any thread. One attempt to open by the system call.
static int open_by_syscall(int flags, bool user_mode_only)
{
    long fd = syscall(SYS_userfaultfd, flags | (user_mode_only ? UFFD_USER_MODE_ONLY : 0));
    return fd < 0 ? -errno : (int)fd;
}

// No lock; any thread. One attempt to open by the device, whose mode alone decides who may.
static int open_by_device(int flags, bool user_mode_only)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -errno;
    int fd = ioctl(device, USERFAULTFD_IOC_NEW, flags | (user_mode_only ? UFFD_USER_MODE_ONLY : 0));
    int error = errno;
    close(device);
    return fd < 0 ? -error : fd;
}

// No lock; any thread. Kernels before 5.11 answer EINVAL to user-mode-only: without the flag they give the same faults and more.
static int open_either(int (*open_by)(int, bool), int flags, bool user_mode_only)
{
    int fd = open_by(flags, user_mode_only);
    if (fd == -EINVAL && user_mode_only)
        fd = open_by(flags, false);
    return fd;
}

// No lock; any thread. Opens in the asked-for way and keeps why each way failed.
static int open_uffd(int flags, int method, struct uffd_created *created)
{
    int kernel_flags = (flags & UFFD_CLOSE_ON_EXEC ? O_CLOEXEC : 0) | (flags & UFFD_NON_BLOCKING ? O_NONBLOCK : 0);
    bool user_mode_only = flags & UFFD_FAULTS_OF_USER_MODE;
    int fd = -ENOSYS;
    if (method != UFFD_OPEN_SYSCALL) {
        fd = open_either(open_by_device, kernel_flags, user_mode_only);
        created->device_errno = fd < 0 ? -fd : 0;
        created->opened_by = UFFD_OPEN_DEVICE;
    }
    if (fd < 0 && method != UFFD_OPEN_DEVICE) {
        fd = open_either(open_by_syscall, kernel_flags, user_mode_only);
        created->syscall_errno = fd < 0 ? -fd : 0;
        created->opened_by = UFFD_OPEN_SYSCALL;
    }
    return fd;
}

// No lock; any thread. The handshake; the kernel takes it once for each descriptor.
static int shake_hands(int fd, uint64_t features, struct uffdio_api *api)
{
    *api = (struct uffdio_api){ .api = UFFD_API, .features = features };
    return ioctl(fd, UFFDIO_API, api) < 0 ? -errno : 0;
}

// No lock; any thread. Asks on a descriptor thrown away afterwards, because a refused handshake leaves zeros as its answer.
static uint64_t supported_features(int flags, int method)
{
    struct uffd_created ignored;
    struct uffdio_api api;
    int fd = open_uffd(flags, method, &ignored);
    if (fd < 0)
        return 0;
    int failed = shake_hands(fd, 0, &api);
    close(fd);
    return failed ? 0 : api.features;
}

// No lock; any thread. Registers a scratch mapping and tells which ioctls such a range has; 0 if it cannot be registered.
static uint64_t ioctls_of_scratch(int fd, int memory, uint64_t mode)
{
    size_t page = (size_t)getpagesize();
    int flags = memory < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *scratch = mmap(NULL, page, PROT_READ | PROT_WRITE, flags, memory, 0);
    if (scratch == MAP_FAILED)
        return 0;
    int64_t ioctls = uffd_register(fd, (uintptr_t)scratch, page, mode);
    if (ioctls > 0)
        uffd_unregister(fd, (uintptr_t)scratch, page);
    munmap(scratch, page);
    return ioctls < 0 ? 0 : (uint64_t)ioctls;
}

// No lock; any thread. Registering for read-write protection needs its feature: on a descriptor thrown away afterwards.
static uint64_t read_write_protect_ioctls(int flags, int method)
{
    struct uffd_created ignored;
    struct uffdio_api api;
    int fd = open_uffd(flags, method, &ignored);
    if (fd < 0)
        return 0;
    uint64_t found = shake_hands(fd, UFFD_FEATURE_RWP, &api) ? 0 : ioctls_of_scratch(fd, -1, UFFDIO_REGISTER_MODE_RWP);
    close(fd);
    return found;
}

// No lock; any thread. The ioctls of ranges: UFFDIO_API does not tell them, only registering each kind of range does.
static uint64_t range_ioctls(int fd, int flags, int method)
{
    uint64_t found = ioctls_of_scratch(fd, -1, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
    found |= ioctls_of_scratch(fd, -1, UFFDIO_REGISTER_MODE_MISSING);
    found |= read_write_protect_ioctls(flags, method);
    int memory = (int)syscall(SYS_memfd_create, "userfaultfd-probe", 1U /* MFD_CLOEXEC */);
    if (memory >= 0) {
        if (ftruncate(memory, getpagesize()) == 0)
            found |= ioctls_of_scratch(fd, memory, UFFDIO_REGISTER_MODE_MINOR);
        close(memory);
    }
    return found;
}

// No lock; any thread. Opens, shakes hands and checks what is required; a failure leaves no descriptor.
int uffd_create(int flags, int method, uint64_t features, uint64_t ioctls, struct uffd_created *created)
{
    *created = (struct uffd_created){
        .device_errno = UFFD_NOT_TRIED, .syscall_errno = UFFD_NOT_TRIED, .stage = UFFD_STAGE_OPEN
    };
    int fd = open_uffd(flags, method, created);
    if (fd < 0)
        return fd;
    created->stage = UFFD_STAGE_API;
    struct uffdio_api api;
    int failed = shake_hands(fd, features, &api);
    created->features = (int64_t)(failed ? supported_features(flags, method) : api.features);
    created->missing_features = (int64_t)(features & ~(uint64_t)created->features);
    // Before 6.10 UFFDIO_API works and leaves out of its answer what this kernel's configuration or processor lacks.
    if (!failed && created->missing_features)
        failed = -EINVAL;
    if (failed) {
        close(fd);
        return failed;
    }
    created->ioctls = (int64_t)api.ioctls;
    uint64_t unproved = ioctls & ~(uint64_t)api.ioctls;
    if (unproved) {
        uint64_t proved = range_ioctls(fd, flags, method);
        created->ioctls |= (int64_t)(unproved & proved);
        created->missing_ioctls = (int64_t)(unproved & ~proved);
        if (created->missing_ioctls) {
            created->ioctls |= (int64_t)proved;
            close(fd);
            return -EINVAL;
        }
    }
    created->stage = UFFD_STAGE_DONE;
    return fd;
}

// No lock; any thread. The ioctls that the range now has, as a mask.
int64_t uffd_register(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_register request = { .range = { start, length }, .mode = mode };
    return ioctl(fd, UFFDIO_REGISTER, &request) < 0 ? -errno : (int64_t)request.ioctls;
}

// No lock; any thread. Wakes whoever waits in the range, and pages still missing become zeros: callers fill them first.
// The kernel wakes before it takes the registration away (userfaultfd_unregister), and a thread that faults in between sleeps
// for good: measured on 6.18, up to one in 20 races. So the range is woken once more afterwards.
int uffd_unregister(int fd, uint64_t start, uint64_t length)
{
    struct uffdio_range range = { start, length };
    if (ioctl(fd, UFFDIO_UNREGISTER, &range) < 0)
        return -errno;
    ioctl(fd, UFFDIO_WAKE, &range);
    return 0;
}

// No lock; any thread and signal handlers.
int uffd_wake(int fd, uint64_t start, uint64_t length)
{
    struct uffdio_range range = { start, length };
    return ioctl(fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

// No lock; any thread and signal handlers. One rule for all five filling ioctls: bytes done if there are any, else -errno.
// The field is bytes or -errno, but kernels before 6.15 do not write it on EAGAIN and none does on bad arguments: so it
// starts as 0, and only a positive value is believed (fs/userfaultfd.c).
static int64_t fill(int fd, unsigned long request, void *argument, const __s64 *done)
{
    if (ioctl(fd, request, argument) == 0)
        return *done;
    int error = errno;
    return *done > 0 ? *done : -error;
}

// No lock; any thread and signal handlers.
int64_t uffd_copy(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode)
{
    struct uffdio_copy request = { .dst = dst, .src = src, .len = length, .mode = mode };
    return fill(fd, UFFDIO_COPY, &request, &request.copy);
}

// No lock; any thread and signal handlers. 0 or -errno, or what a file that ends before is to be.
int uffd_read_all(int fd, char *to, size_t length, int64_t offset, int at_end)
{
    for (size_t done = 0; done < length;) {
        ssize_t some = pread(fd, to + done, length - done, (off_t)(offset + (int64_t)done));
        if (some > 0)
            done += (size_t)some;
        else if (some == 0 || errno != EINTR)
            return some == 0 ? at_end : -errno;
    }
    return 0;
}

// No lock; any thread and signal handlers. Maps what is to be copied in (Linux 5.14); -EFAULT if it cannot be read.
int uffd_populate(uint64_t address, uint64_t length)
{
    uint64_t first = address & ~(uint64_t)(getpagesize() - 1);
    return madvise((void *)(uintptr_t)first, (size_t)(address + length - first), MADV_POPULATE_READ) < 0 ? -errno : 0;
}

// No lock; any thread and signal handlers.
int64_t uffd_zeropage(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_zeropage request = { .range = { start, length }, .mode = mode };
    return fill(fd, UFFDIO_ZEROPAGE, &request, &request.zeropage);
}

// No lock; any thread and signal handlers.
int64_t uffd_move(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode)
{
    struct uffdio_move request = { .dst = dst, .src = src, .len = length, .mode = mode };
    return fill(fd, UFFDIO_MOVE, &request, &request.move);
}

// No lock; any thread and signal handlers.
int64_t uffd_continue(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_continue request = { .range = { start, length }, .mode = mode };
    return fill(fd, UFFDIO_CONTINUE, &request, &request.mapped);
}

// No lock; any thread and signal handlers.
int64_t uffd_poison(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_poison request = { .range = { start, length }, .mode = mode };
    return fill(fd, UFFDIO_POISON, &request, &request.updated);
}

// No lock; any thread and signal handlers. All or nothing: the kernel reports no partial progress.
int uffd_writeprotect(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_writeprotect request = { .range = { start, length }, .mode = mode };
    return ioctl(fd, UFFDIO_WRITEPROTECT, &request) < 0 ? -errno : 0;
}

// No lock; any thread and signal handlers. All or nothing.
int uffd_rwprotect(int fd, uint64_t start, uint64_t length, uint64_t mode)
{
    struct uffdio_rwprotect request = { .range = { start, length }, .mode = mode };
    return ioctl(fd, UFFDIO_RWPROTECT, &request) < 0 ? -errno : 0;
}

// No lock; any thread. Feature bits to switch on and off while the descriptor is in use.
int uffd_set_mode(int fd, uint64_t enable, uint64_t disable)
{
    struct uffdio_set_mode request = { .enable = enable, .disable = disable };
    return ioctl(fd, UFFDIO_SET_MODE, &request) < 0 ? -errno : 0;
}

// No lock; any thread. Scans a page of this function's stack: a kernel without the ioctl says ENOTTY.
int uffd_pagemap_scan_probe(void)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return -errno;
    struct uffd_page_region found;
    uint64_t page = (uint64_t)getpagesize();
    uint64_t here = (uintptr_t)&found & ~(page - 1);
    struct uffd_pm_scan_arg request = {
        .size = sizeof request, .start = here, .end = here + page, .vec = (uintptr_t)&found, .vec_len = 1,
        .category_mask = UFFD_PAGE_IS_PRESENT, .return_mask = UFFD_PAGE_IS_PRESENT,
    };
    int result = ioctl(pagemap, UFFD_PAGEMAP_SCAN, &request) < 0 ? -errno : 0;
    close(pagemap);
    return result;
}

// No lock; any thread. Protects a page of its own and has a system call write to it: 0 if that is refused, as it has to be, and
// EOPNOTSUPP if it goes through. On arm64 Linux 5.10 has the feature's bit, every call succeeds, and nothing is protected. With
// SIGBUS nobody ever waits for a handler.
int uffd_write_protect_probe(void)
{
    struct uffd_created created;
    int fd = uffd_create(UFFD_CLOSE_ON_EXEC | UFFD_FAULTS_OF_USER_MODE, UFFD_OPEN_AUTO,
                         UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_SIGBUS, 0, &created);
    if (fd < 0)
        return fd;
    size_t page = (size_t)getpagesize();
    struct utsname *scratch = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int64_t result = -ENOMEM;
    if (scratch != MAP_FAILED) {
        uname(scratch); // the page is there
        result = uffd_register(fd, (uintptr_t)scratch, page, UFFDIO_REGISTER_MODE_WP);
        if (result >= 0)
            result = uffd_writeprotect(fd, (uintptr_t)scratch, page, UFFDIO_WRITEPROTECT_MODE_WP);
        if (result == 0)
            result = uname(scratch) < 0 ? 0 : -EOPNOTSUPP;
        munmap(scratch, page);
    }
    close(fd);
    return (int)result;
}
