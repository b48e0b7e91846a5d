// SPDX-License-Identifier: Apache-2.0
// Loaded with LD_PRELOAD into a child JVM: stands between the shim and the kernel and makes the kernel's answers those of
// another one. TEST_KERNEL=newer adds a feature (bit 40) and an ioctl (bit 20) that nobody knows yet and turns page faults
// into event 0x7f. TEST_KERNEL=older leaves the output field of a refused filling ioctl as the caller had it, as kernels
// before 6.15 do. TEST_KERNEL=broken answers UFFDIO_CONTINUE with EIO, as for a page with a memory error.
// TEST_KERNEL=lenient has no MINOR_SHMEM, and takes it in UFFDIO_API without a word, as kernels before 6.10 do.
// TEST_KERNEL=unpoisoned does not know UFFDIO_POISON, as before 6.6; TEST_KERNEL=full has memory for nothing.
// TEST_KERNEL=crowded has no thread more while the file TEST_CROWDED is there. TEST_KERNEL=late lets the shim's poll(2) of two
// descriptors return a second late. TEST_KERNEL=short has no page to copy from memory that MADV_POPULATE_READ did not map in before.
// TEST_KERNEL=limited says EEXIST for each page to be copied, as for huge pages beyond the limit of a control group.
// TEST_KERNEL=hasty has the shim's clock, and nobody else's, go ahead by more than a minute each time it is looked at.
#include <dlfcn.h>
#include <errno.h>
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NEW_IOCTL = 20, NEW_EVENT = 0x7f, UFFDIO_COPY_NUMBER = 3, UFFDIO_CONTINUE_NUMBER = 7, UFFDIO_POISON_NUMBER = 8,
       OVER_A_MINUTE = 61 };
static const uint64_t NEW_FEATURE = UINT64_C(1) << 40;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time);
__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...);
__attribute__((visibility("default"))) ssize_t read(int fd, void *buffer, size_t size);

__attribute__((visibility("default"))) int madvise(void *address, size_t length, int advice);
__attribute__((visibility("default"))) int poll(struct pollfd *descriptors, nfds_t count, int timeout);
__attribute__((visibility("default"))) int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                                          void *(*body)(void *), void *argument);

static _Atomic(uintptr_t) populated_from, populated_to;

static bool kernel_is(const char *what)
{
    const char *chosen = getenv("TEST_KERNEL");
    return chosen && strcmp(chosen, what) == 0;
}

static int real_ioctl(int fd, unsigned long request, void *argument)
{
    static int (*next)(int, unsigned long, ...);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, argument);
}

static int newer_ioctl(int fd, unsigned long request, void *argument)
{
    struct uffdio_api *api = argument;
    bool handshake = request == UFFDIO_API;
    if (handshake)
        api->features &= ~NEW_FEATURE;
    int result = real_ioctl(fd, request, argument);
    if (result == 0 && handshake) {
        api->features |= NEW_FEATURE;
        api->ioctls |= UINT64_C(1) << NEW_IOCTL;
    }
    if (result == 0 && request == UFFDIO_REGISTER)
        ((struct uffdio_register *)argument)->ioctls |= UINT64_C(1) << NEW_IOCTL;
    return result;
}

// The output field is the last one of each filling ioctl's structure.
static int older_ioctl(int fd, unsigned long request, void *argument)
{
    bool fills = _IOC_TYPE(request) == UFFDIO && _IOC_NR(request) >= 3 && _IOC_NR(request) <= 8
        && request != UFFDIO_WRITEPROTECT;
    int64_t *field = (int64_t *)((char *)argument + _IOC_SIZE(request)) - 1;
    int64_t before = fills ? *field : 0;
    int result = real_ioctl(fd, request, argument);
    int error = errno;
    if (result < 0 && fills && *field == -EAGAIN)
        *field = before;
    errno = error;
    return result;
}

static int lenient_handshake(int fd, struct uffdio_api *api)
{
    api->features &= ~(uint64_t)UFFD_FEATURE_MINOR_SHMEM;
    int result = real_ioctl(fd, UFFDIO_API, api);
    api->features &= ~(uint64_t)UFFD_FEATURE_MINOR_SHMEM;
    return result;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (_IOC_TYPE(request) != UFFDIO)
        return real_ioctl(fd, request, argument);
    if (kernel_is("newer"))
        return newer_ioctl(fd, request, argument);
    if (kernel_is("older"))
        return older_ioctl(fd, request, argument);
    if (kernel_is("lenient") && request == UFFDIO_API)
        return lenient_handshake(fd, argument);
    if (kernel_is("broken") && _IOC_NR(request) == UFFDIO_CONTINUE_NUMBER) {
        errno = EIO;
        return -1;
    }
    if (kernel_is("unpoisoned") && _IOC_NR(request) == UFFDIO_POISON_NUMBER) {
        errno = EINVAL;
        return -1;
    }
    if (kernel_is("full") && (_IOC_NR(request) == UFFDIO_COPY_NUMBER || _IOC_NR(request) == UFFDIO_POISON_NUMBER)) {
        errno = ENOMEM;
        return -1;
    }
    const struct uffdio_copy *copy = argument;
    if (kernel_is("short") && _IOC_NR(request) == UFFDIO_COPY_NUMBER
        && (copy->src < populated_from || copy->src + copy->len > populated_to)) {
        errno = ENOMEM;
        return -1;
    }
    if (kernel_is("limited") && _IOC_NR(request) == UFFDIO_COPY_NUMBER) {
        errno = EEXIST;
        return -1;
    }
    return real_ioctl(fd, request, argument);
}

int madvise(void *address, size_t length, int advice)
{
    if (advice == 22) {  // MADV_POPULATE_READ, Linux 5.14
        populated_from = (uintptr_t)address;
        populated_to = (uintptr_t)address + length;
        return 0;
    }
    return (int)syscall(SYS_madvise, address, length, advice);
}

static bool is_from_the_shim(void *return_address)
{
    Dl_info caller;
    return dladdr(return_address, &caller) && strstr(caller.dli_fname, "libuserfaultfd_jni");
}

int poll(struct pollfd *descriptors, nfds_t count, int timeout)
{
    static int (*next)(struct pollfd *, nfds_t, int);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "poll");
    int result = next(descriptors, count, timeout);
    if (kernel_is("late") && count == 2 && is_from_the_shim(__builtin_return_address(0)))
        sleep(1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (kernel_is("crowded") && access(getenv("TEST_CROWDED"), F_OK) == 0)
        return EAGAIN;
    return next(thread, attributes, body, argument);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    static ssize_t (*next)(int, void *, size_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "read");
    ssize_t got = next(fd, buffer, size);
    struct uffd_msg *message = buffer;
    if (kernel_is("newer") && got == (ssize_t)sizeof *message && message->event == UFFD_EVENT_PAGEFAULT
        && message->reserved1 == 0 && message->reserved2 == 0 && message->reserved3 == 0)
        message->event = NEW_EVENT;
    return got;
}

// The JVM, whose waits end at times that the kernel has to agree with, is told the truth.
int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*next)(clockid_t, struct timespec *);
    static _Atomic(int) looks;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, time);
    if (kernel_is("hasty") && is_from_the_shim(__builtin_return_address(0)))
        time->tv_sec += OVER_A_MINUTE * atomic_fetch_add(&looks, 1);
    return result;
}
