// SPDX-License-Identifier: Apache-2.0
// System calls that the conformance tests make directly: memory of the kinds that MemoryRegion does not offer, raw ioctls,
// and pins.
#include "test_faults.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TEST_NATIVE(jlong, mmap, STATIC, jlong address, jlong length, jint protection, jint flags, jint fd)
{
    void *mapped = mmap(test_at(address), (size_t)length, protection, flags, fd, 0);
    return mapped == MAP_FAILED ? -errno : (jlong)(uintptr_t)mapped;
}

TEST_NATIVE(jint, munmap, STATIC, jlong address, jlong length)
{
    return (jint)test_result(munmap(test_at(address), (size_t)length));
}

TEST_NATIVE(jint, madvise, STATIC, jlong address, jlong length, jint advice)
{
    return (jint)test_result(madvise(test_at(address), (size_t)length, advice));
}

TEST_NATIVE(jint, mprotect, STATIC, jlong address, jlong length, jint protection)
{
    return (jint)test_result(mprotect(test_at(address), (size_t)length, protection));
}

TEST_NATIVE(jint, mremap, STATIC, jlong address, jlong length, jlong to)
{
    void *moved = mremap(test_at(address), (size_t)length, (size_t)length, MREMAP_MAYMOVE | MREMAP_FIXED, test_at(to));
    return moved == MAP_FAILED ? -errno : 0;
}

TEST_NATIVE(jint, memfd, STATIC, jlong length, jint flags)
{
    int fd = (int)syscall(SYS_memfd_create, "userfaultfd-test", (unsigned)flags);
    if (fd >= 0 && ftruncate(fd, (off_t)length) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd < 0 ? -errno : fd;
}

TEST_NATIVE(jint, truncate, STATIC, jint fd, jlong length)
{
    return (jint)test_result(ftruncate(fd, (off_t)length));
}

TEST_NATIVE(jlong, pagemap, STATIC, jlong address)
{
    return test_pagemap((uintptr_t)address);
}

TEST_NATIVE(void, setMemory, STATIC, jlong address, jlong length, jint value)
{
    memset(test_at(address), value, (size_t)length);
}

TEST_NATIVE(void, copyMemory, STATIC, jlong to, jlong from, jlong length)
{
    memcpy(test_at(to), test_at(from), (size_t)length);
}

// Both ranges are there or may fault: this thread is in native state.
TEST_NATIVE(jboolean, sameMemory, STATIC, jlong a, jlong b, jlong length)
{
    return memcmp(test_at(a), test_at(b), (size_t)length) == 0;
}

// An ioctl that reads and writes an array of 64-bit numbers, such as UFFDIO_COPY or PAGEMAP_SCAN.
TEST_NATIVE(jint, ioctl, STATIC, jint fd, jint type, jint number, jlongArray argument)
{
    enum { MOST = 16 };
    jlong values[MOST] = { 0 };
    jsize count = (*env)->GetArrayLength(env, argument);
    if (count > MOST)
        return -E2BIG;
    (*env)->GetLongArrayRegion(env, argument, 0, count, values);
    unsigned long request = _IOC(_IOC_READ | _IOC_WRITE, (unsigned)type, (unsigned)number, (unsigned)count * sizeof(jlong));
    long result = test_result(ioctl(fd, request, values));
    (*env)->SetLongArrayRegion(env, argument, 0, count, values);
    return (jint)result;
}

// read(2) whose content does not matter.
TEST_NATIVE(jint, readBytes, STATIC, jint fd, jint bytes)
{
    char ignored[256];
    if (bytes > (jint)sizeof ignored)
        return -E2BIG;
    return (jint)test_result(read(fd, ignored, (size_t)bytes));
}

// The next byte, or -1 at the end.
TEST_NATIVE(jint, readByte, STATIC, jint fd)
{
    unsigned char byte;
    return read(fd, &byte, 1) == 1 ? byte : -1;
}

// A userfaultfd without its handshake.
TEST_NATIVE(jint, openUserfaultfd, STATIC, jboolean by_device, jint flags)
{
    if (!by_device)
        return (jint)test_result(syscall(SYS_userfaultfd, flags));
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -errno;
    int result = (int)test_result(ioctl(device, _IO(0xAA, 0) /* USERFAULTFD_IOC_NEW */, flags));
    close(device);
    return result;
}

TEST_NATIVE(jint, openFile, STATIC, jstring path, jint flags)
{
    const char *name = (*env)->GetStringUTFChars(env, path, NULL);
    int fd = name ? open(name, flags | O_CLOEXEC) : -1;
    int result = fd < 0 ? -errno : fd;
    if (name)
        (*env)->ReleaseStringUTFChars(env, path, name);
    return result;
}

TEST_NATIVE(jint, pipe, STATIC, jintArray ends)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    (*env)->SetIntArrayRegion(env, ends, 0, 2, both);
    return 0;
}

// Pins pages for long, with the right to write, as a buffer registered with io_uring. Closing the descriptor unpins them.
TEST_NATIVE(jint, pin, STATIC, jlong address, jlong length)
{
    struct io_uring_params params = { 0 };
    int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
    if (ring < 0)
        return -errno;
    struct iovec buffer = { test_at(address), (size_t)length };
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0) {
        int error = errno;
        close(ring);
        return -error;
    }
    return ring;
}

// Starts a program that inherits every descriptor without close-on-exec; its standard input and output are pipes whose other
// ends come back in `ends`. It dies with the thread that started it. Its process id, or -errno.
TEST_NATIVE(jint, spawn, STATIC, jobjectArray command, jintArray ends)
{
    enum { MOST = 64 };
    char *arguments[MOST] = { NULL };
    int in[2], out[2];
    jsize count = (*env)->GetArrayLength(env, command);
    if (count >= MOST)
        return -E2BIG;
    for (jsize i = 0; i < count; i++) {
        jstring each = (*env)->GetObjectArrayElement(env, command, i);
        const char *text = (*env)->GetStringUTFChars(env, each, NULL);
        arguments[i] = text ? strdup(text) : NULL;
        if (text)
            (*env)->ReleaseStringUTFChars(env, each, text);
        (*env)->DeleteLocalRef(env, each);
        if (!arguments[i])
            return -ENOMEM;
    }
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = test_fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        execv(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    for (jsize i = 0; i < count; i++)
        free(arguments[i]);
    jint parents[] = { in[1], out[0] };
    (*env)->SetIntArrayRegion(env, ends, 0, 2, parents);
    return child;
}

// Waits for a child until the deadline, then kills it: its status, or -ETIMEDOUT.
TEST_NATIVE(jint, reap, STATIC, jint child, jlong ms)
{
    int status = 0;
    for (int64_t end = test_now_ms() + ms; waitpid(child, &status, WNOHANG) == 0;) {
        if (test_now_ms() > end) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return -ETIMEDOUT;
        }
        struct timespec time = { .tv_nsec = 1000000 };
        nanosleep(&time, NULL);
    }
    return status;
}
