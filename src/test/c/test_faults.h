// SPDX-License-Identifier: Apache-2.0
// What the sources of the conformance tests' native library share. Values are >= 0 or -errno, as in the library's own shim.
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <errno.h>
#include <jni.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

// The class of a native method, and the prototype that -Wmissing-prototypes asks for: tests are compiled after this library.
#define TEST_NATIVE_OF(owner, type, name, ...) \
    JNIEXPORT type JNICALL Java_io_github_userfaultfd_##owner##_##name(__VA_ARGS__); \
    JNIEXPORT type JNICALL Java_io_github_userfaultfd_##owner##_##name(__VA_ARGS__)
#define TEST_NATIVE(type, name, ...) TEST_NATIVE_OF(conformance_Faults, type, name, __VA_ARGS__)
#define STATIC JNIEnv *env __attribute__((unused)), jclass self __attribute__((unused))

// A jlong that is a native address.
static inline void *test_at(jlong address)
{
    return (void *)(uintptr_t)address;
}

// -errno of a call that returned -1.
static inline long test_result(long result)
{
    return result < 0 ? -(long)errno : result;
}

// Milliseconds of the monotonic clock.
static inline int64_t test_now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// fork() by the kernel alone, without what libc does around it.
static inline pid_t test_fork(void)
{
#ifdef SYS_fork
    return (pid_t)syscall(SYS_fork);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);  // not s390x, which has the arguments in another order
#endif
}

// Entry of /proc/self/pagemap, or -errno.
int64_t test_pagemap(uintptr_t address);

// Catches SIGBUS and SIGSEGV of the threads that set a guard, until as many calls of test_uncatch as of test_catch were made.
void test_catch(void);
void test_uncatch(void);

#endif
