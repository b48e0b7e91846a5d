// SPDX-License-Identifier: Apache-2.0
// Glue, one line a method: the only file that knows jni.h. Each function has the rules of the one that it calls.
#include "io_github_userfaultfd_internal_Abi.h"
#include "io_github_userfaultfd_internal_Native.h"
#include "uffd_abi.h"
#include "uffd_bits.h"
#include "uffd_dirty.h"
#include "uffd_fill.h"
#include "uffd_inline.h"
#include "uffd_keeper.h"
#include "uffd_memory.h"
#include "uffd_pager.h"
#include "uffd_saved.h"
#include "uffd_sigbus.h"
#include "uffd_snapshot.h"
#include "uffd_socket.h"
#include "uffd_source.h"
#include "uffd_sys.h"
#include "uffd_wait.h"
#include "uffd_wp.h"

#include <errno.h>
#include <jni.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Abi.java against the kernel's headers and the shim's structures.
#define SAME(java, c) \
    _Static_assert((uint64_t)(io_github_userfaultfd_internal_Abi_##java) == (uint64_t)(c), "Abi." #java " is not " #c)
#define LONG_AT(type, field) (offsetof(type, field) / sizeof(int64_t))
SAME(FEATURE_PAGEFAULT_FLAG_WP, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
SAME(FEATURE_EVENT_FORK, UFFD_FEATURE_EVENT_FORK);
SAME(FEATURE_EVENT_REMAP, UFFD_FEATURE_EVENT_REMAP);
SAME(FEATURE_EVENT_REMOVE, UFFD_FEATURE_EVENT_REMOVE);
SAME(FEATURE_MISSING_HUGETLBFS, UFFD_FEATURE_MISSING_HUGETLBFS);
SAME(FEATURE_MISSING_SHMEM, UFFD_FEATURE_MISSING_SHMEM);
SAME(FEATURE_EVENT_UNMAP, UFFD_FEATURE_EVENT_UNMAP);
SAME(FEATURE_SIGBUS, UFFD_FEATURE_SIGBUS);
SAME(FEATURE_THREAD_ID, UFFD_FEATURE_THREAD_ID);
SAME(FEATURE_MINOR_HUGETLBFS, UFFD_FEATURE_MINOR_HUGETLBFS);
SAME(FEATURE_MINOR_SHMEM, UFFD_FEATURE_MINOR_SHMEM);
SAME(FEATURE_EXACT_ADDRESS, UFFD_FEATURE_EXACT_ADDRESS);
SAME(FEATURE_WP_HUGETLBFS_SHMEM, UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
SAME(FEATURE_WP_UNPOPULATED, UFFD_FEATURE_WP_UNPOPULATED);
SAME(FEATURE_POISON, UFFD_FEATURE_POISON);
SAME(FEATURE_WP_ASYNC, UFFD_FEATURE_WP_ASYNC);
SAME(FEATURE_MOVE, UFFD_FEATURE_MOVE);
SAME(FEATURE_RWP, UFFD_FEATURE_RWP);
SAME(FEATURE_RWP_ASYNC, UFFD_FEATURE_RWP_ASYNC);
SAME(IOCTL_REGISTER, _UFFDIO_REGISTER);
SAME(IOCTL_UNREGISTER, _UFFDIO_UNREGISTER);
SAME(IOCTL_WAKE, _UFFDIO_WAKE);
SAME(IOCTL_COPY, _UFFDIO_COPY);
SAME(IOCTL_ZEROPAGE, _UFFDIO_ZEROPAGE);
SAME(IOCTL_MOVE, _UFFDIO_MOVE);
SAME(IOCTL_WRITEPROTECT, _UFFDIO_WRITEPROTECT);
SAME(IOCTL_CONTINUE, _UFFDIO_CONTINUE);
SAME(IOCTL_POISON, _UFFDIO_POISON);
SAME(IOCTL_RWPROTECT, _UFFDIO_RWPROTECT);
SAME(IOCTL_SET_MODE, _UFFDIO_SET_MODE);
SAME(IOCTL_API, _UFFDIO_API);
SAME(REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_MISSING);
SAME(REGISTER_MODE_WP, UFFDIO_REGISTER_MODE_WP);
SAME(REGISTER_MODE_MINOR, UFFDIO_REGISTER_MODE_MINOR);
SAME(REGISTER_MODE_RWP, UFFDIO_REGISTER_MODE_RWP);
SAME(MODE_DONTWAKE, UFFDIO_COPY_MODE_DONTWAKE);
SAME(MODE_DONTWAKE, UFFDIO_ZEROPAGE_MODE_DONTWAKE);
SAME(MODE_DONTWAKE, UFFDIO_MOVE_MODE_DONTWAKE);
SAME(MODE_DONTWAKE, UFFDIO_CONTINUE_MODE_DONTWAKE);
SAME(MODE_DONTWAKE, UFFDIO_POISON_MODE_DONTWAKE);
SAME(COPY_MODE_WP, UFFDIO_COPY_MODE_WP);
SAME(CONTINUE_MODE_WP, UFFDIO_CONTINUE_MODE_WP);
SAME(MOVE_MODE_ALLOW_SRC_HOLES, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES);
SAME(WRITEPROTECT_MODE_WP, UFFDIO_WRITEPROTECT_MODE_WP);
SAME(WRITEPROTECT_MODE_DONTWAKE, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
SAME(RWPROTECT_MODE_RWP, UFFDIO_RWPROTECT_MODE_RWP);
SAME(RWPROTECT_MODE_DONTWAKE, UFFDIO_RWPROTECT_MODE_DONTWAKE);
SAME(MSG_SIZE, sizeof(struct uffd_msg));
SAME(MSG_EVENT, offsetof(struct uffd_msg, event));
SAME(MSG_FAULT_FLAGS, offsetof(struct uffd_msg, arg.pagefault.flags));
SAME(MSG_FAULT_ADDRESS, offsetof(struct uffd_msg, arg.pagefault.address));
SAME(MSG_FAULT_THREAD_ID, offsetof(struct uffd_msg, arg.pagefault.feat.ptid));
SAME(MSG_FORK_FD, offsetof(struct uffd_msg, arg.fork.ufd));
SAME(MSG_REMAP_FROM, offsetof(struct uffd_msg, arg.remap.from));
SAME(MSG_REMAP_TO, offsetof(struct uffd_msg, arg.remap.to));
SAME(MSG_REMAP_LENGTH, offsetof(struct uffd_msg, arg.remap.len));
SAME(MSG_START, offsetof(struct uffd_msg, arg.remove.start));
SAME(MSG_END, offsetof(struct uffd_msg, arg.remove.end));
SAME(EVENT_PAGEFAULT, UFFD_EVENT_PAGEFAULT);
SAME(EVENT_FORK, UFFD_EVENT_FORK);
SAME(EVENT_REMAP, UFFD_EVENT_REMAP);
SAME(EVENT_REMOVE, UFFD_EVENT_REMOVE);
SAME(EVENT_UNMAP, UFFD_EVENT_UNMAP);
SAME(FAULT_FLAG_WRITE, UFFD_PAGEFAULT_FLAG_WRITE);
SAME(FAULT_FLAG_WP, UFFD_PAGEFAULT_FLAG_WP);
SAME(FAULT_FLAG_MINOR, UFFD_PAGEFAULT_FLAG_MINOR);
SAME(FAULT_FLAG_RWP, UFFD_PAGEFAULT_FLAG_RWP);
SAME(CREATE_CLOSE_ON_EXEC, UFFD_CLOSE_ON_EXEC);
SAME(CREATE_NON_BLOCKING, UFFD_NON_BLOCKING);
SAME(CREATE_USER_MODE_ONLY, UFFD_FAULTS_OF_USER_MODE);
SAME(OPEN_AUTO, UFFD_OPEN_AUTO);
SAME(OPEN_DEVICE, UFFD_OPEN_DEVICE);
SAME(OPEN_SYSCALL, UFFD_OPEN_SYSCALL);
SAME(STAGE_OPEN, UFFD_STAGE_OPEN);
SAME(STAGE_API, UFFD_STAGE_API);
SAME(STAGE_DONE, UFFD_STAGE_DONE);
SAME(NOT_TRIED, UFFD_NOT_TRIED);
SAME(MEMORY_ANONYMOUS, UFFD_MEMORY_ANONYMOUS);
SAME(MEMORY_SHARED, UFFD_MEMORY_SHARED);
SAME(MEMORY_HUGE, UFFD_MEMORY_HUGE);
SAME(CREATED_FEATURES, LONG_AT(struct uffd_created, features));
SAME(CREATED_IOCTLS, LONG_AT(struct uffd_created, ioctls));
SAME(CREATED_MISSING_FEATURES, LONG_AT(struct uffd_created, missing_features));
SAME(CREATED_MISSING_IOCTLS, LONG_AT(struct uffd_created, missing_ioctls));
SAME(CREATED_DEVICE_ERRNO, LONG_AT(struct uffd_created, device_errno));
SAME(CREATED_SYSCALL_ERRNO, LONG_AT(struct uffd_created, syscall_errno));
SAME(CREATED_OPENED_BY, LONG_AT(struct uffd_created, opened_by));
SAME(CREATED_STAGE, LONG_AT(struct uffd_created, stage));
SAME(CREATED_LONGS, sizeof(struct uffd_created) / sizeof(int64_t));
SAME(MEMORY_ADDRESS, LONG_AT(struct uffd_memory, address));
SAME(MEMORY_ALIAS, LONG_AT(struct uffd_memory, alias));
SAME(MEMORY_FD, LONG_AT(struct uffd_memory, fd));
SAME(MEMORY_LONGS, sizeof(struct uffd_memory) / sizeof(int64_t));
SAME(STATS_FAULTS, LONG_AT(struct uffd_pager_stats, faults));
SAME(STATS_PAGES, LONG_AT(struct uffd_pager_stats, pages));
SAME(STATS_PRESENT, LONG_AT(struct uffd_pager_stats, present));
SAME(STATS_RETRIED, LONG_AT(struct uffd_pager_stats, retried));
SAME(STATS_FAILED, LONG_AT(struct uffd_pager_stats, failed));
SAME(STATS_NANOSECONDS, LONG_AT(struct uffd_pager_stats, nanoseconds));
SAME(STATS_LONGS, sizeof(struct uffd_pager_stats) / sizeof(int64_t));
SAME(OPTION_FD, LONG_AT(struct uffd_pager_options, fd));
SAME(OPTION_ADDRESS, LONG_AT(struct uffd_pager_options, address));
SAME(OPTION_LENGTH, LONG_AT(struct uffd_pager_options, length));
SAME(OPTION_PAGE, LONG_AT(struct uffd_pager_options, page));
SAME(OPTION_SOURCE, LONG_AT(struct uffd_pager_options, source));
SAME(OPTION_AROUND, LONG_AT(struct uffd_pager_options, around));
SAME(OPTION_ENGINE, LONG_AT(struct uffd_pager_options, engine));
SAME(OPTION_THREADS, LONG_AT(struct uffd_pager_options, threads));
SAME(OPTION_ON_FAILURE, LONG_AT(struct uffd_pager_options, on_failure));
SAME(OPTION_MEMORY, LONG_AT(struct uffd_pager_options, memory));
SAME(OPTION_LONGS, sizeof(struct uffd_pager_options) / sizeof(int64_t));
SAME(RUN_OFFSET, LONG_AT(struct uffd_run, offset));
SAME(RUN_LENGTH, LONG_AT(struct uffd_run, length));
SAME(RUN_FILE, LONG_AT(struct uffd_run, file));
SAME(RUN_FILE_OFFSET, LONG_AT(struct uffd_run, file_offset));
SAME(RUN_CRC, LONG_AT(struct uffd_run, crc));
SAME(RUN_LONGS, sizeof(struct uffd_run) / sizeof(int64_t));
SAME(RUNS_NAMES, LONG_AT(struct uffd_run_options, names));
SAME(RUNS_FILES, LONG_AT(struct uffd_run_options, files));
SAME(RUNS_RUNS, LONG_AT(struct uffd_run_options, runs));
SAME(RUNS_COUNT, LONG_AT(struct uffd_run_options, count));
SAME(RUNS_LENGTH, LONG_AT(struct uffd_run_options, length));
SAME(RUNS_PAGE, LONG_AT(struct uffd_run_options, page));
SAME(RUNS_LONGS, sizeof(struct uffd_run_options) / sizeof(int64_t));
SAME(PEER_PID, LONG_AT(struct uffd_peer, pid));
SAME(PEER_UID, LONG_AT(struct uffd_peer, uid));
SAME(PEER_GID, LONG_AT(struct uffd_peer, gid));
SAME(PEER_LONGS, sizeof(struct uffd_peer) / sizeof(int64_t));
SAME(MOST_DESCRIPTORS, UFFD_MOST_DESCRIPTORS);
SAME(SIGKILL, SIGKILL);
SAME(WP_FD, LONG_AT(struct uffd_wp_options, fd));
SAME(WP_ADDRESS, LONG_AT(struct uffd_wp_options, address));
SAME(WP_LENGTH, LONG_AT(struct uffd_wp_options, length));
SAME(WP_PAGE, LONG_AT(struct uffd_wp_options, page));
SAME(WP_AHEAD, LONG_AT(struct uffd_wp_options, ahead));
SAME(WP_LIMIT, LONG_AT(struct uffd_wp_options, limit));
SAME(WP_SPILL, LONG_AT(struct uffd_wp_options, spill));
SAME(WP_POPULATE, LONG_AT(struct uffd_wp_options, populate));
SAME(WP_UNCHANGED, LONG_AT(struct uffd_wp_options, unchanged));
SAME(WP_PAGER, LONG_AT(struct uffd_wp_options, pager));
SAME(WP_MEMORY, LONG_AT(struct uffd_wp_options, memory));
SAME(WP_LONGS, sizeof(struct uffd_wp_options) / sizeof(int64_t));
SAME(SAVED_MEMORY, LONG_AT(struct uffd_saved_stats, memory));
SAME(SAVED_SPILLED, LONG_AT(struct uffd_saved_stats, spilled));
SAME(SAVED_LONGS, sizeof(struct uffd_saved_stats) / sizeof(int64_t));
SAME(KEEPER_FD, LONG_AT(struct uffd_keeper_options, fd));
SAME(KEEPER_ADDRESS, LONG_AT(struct uffd_keeper_options, address));
SAME(KEEPER_MEMORY, LONG_AT(struct uffd_keeper_options, memory));
SAME(KEEPER_LENGTH, LONG_AT(struct uffd_keeper_options, length));
SAME(KEEPER_PAGE, LONG_AT(struct uffd_keeper_options, page));
SAME(KEEPER_ARGUMENTS, LONG_AT(struct uffd_keeper_options, arguments));
SAME(KEEPER_COUNT, LONG_AT(struct uffd_keeper_options, count));
SAME(KEEPER_RESTARTS, LONG_AT(struct uffd_keeper_options, restarts));
SAME(KEEPER_READY, LONG_AT(struct uffd_keeper_options, ready));
SAME(KEEPER_ON_FAILURE, LONG_AT(struct uffd_keeper_options, on_failure));
SAME(KEEPER_LONGS, sizeof(struct uffd_keeper_options) / sizeof(int64_t));
SAME(KEPT_PID, LONG_AT(struct uffd_keeper_stats, pid));
SAME(KEPT_RESTARTS, LONG_AT(struct uffd_keeper_stats, restarts));
SAME(KEPT_RECOVERY, LONG_AT(struct uffd_keeper_stats, recovery));
SAME(KEPT_START, LONG_AT(struct uffd_keeper_stats, start));
SAME(KEPT_STATE, LONG_AT(struct uffd_keeper_stats, state));
SAME(KEPT_FAILURES, LONG_AT(struct uffd_keeper_stats, failures));
SAME(KEPT_FAILED_AT, LONG_AT(struct uffd_keeper_stats, failed_at));
SAME(KEPT_CHILD_STATUS, LONG_AT(struct uffd_keeper_stats, child_status));
SAME(KEPT_LONGS, sizeof(struct uffd_keeper_stats) / sizeof(int64_t));
SAME(KEEPER_GAVE_UP, UFFD_KEEPER_GAVE_UP);
SAME(CHILD_CONTROL, UFFD_CHILD_CONTROL);
SAME(CHILD_UFFD, UFFD_CHILD_UFFD);
SAME(CHILD_READY, UFFD_CHILD_READY);
SAME(CHILD_FAILED, UFFD_CHILD_FAILED);
SAME(AHEAD_BYTES, UFFD_AHEAD_BYTES);
SAME(RECORD_BYTES, UFFD_RECORD_BYTES);
SAME(RECORD_TEXT, UFFD_RECORD_TEXT);
SAME(ECHILD, ECHILD);
SAME(ETIMEDOUT, ETIMEDOUT);
SAME(ENGINE_INLINE, UFFD_ENGINE_INLINE);
SAME(ENGINE_THREAD, UFFD_ENGINE_THREAD);
SAME(FAILURE_ABORT, UFFD_FAILURE_ABORT);
SAME(FAILURE_FILL, UFFD_FAILURE_FILL);
SAME(RANGE_LONGS, sizeof(struct uffd_range) / sizeof(int64_t));
SAME(RANGE_OFFSET, LONG_AT(struct uffd_range, offset));
SAME(RANGE_LENGTH, LONG_AT(struct uffd_range, length));
SAME(EPERM, EPERM);
SAME(ENOENT, ENOENT);
SAME(ESRCH, ESRCH);
SAME(EINTR, EINTR);
SAME(EIO, EIO);
SAME(EBADF, EBADF);
SAME(EAGAIN, EAGAIN);
SAME(ENOMEM, ENOMEM);
SAME(EACCES, EACCES);
SAME(EFAULT, EFAULT);
SAME(EBUSY, EBUSY);
SAME(EEXIST, EEXIST);
SAME(ENODEV, ENODEV);
SAME(EINVAL, EINVAL);
SAME(ENFILE, ENFILE);
SAME(EMFILE, EMFILE);
SAME(ENOTTY, ENOTTY);
SAME(ENOSPC, ENOSPC);
SAME(ENOSYS, ENOSYS);
SAME(ENODATA, ENODATA);
SAME(EOPNOTSUPP, EOPNOTSUPP);
SAME(EPIPE, EPIPE);
SAME(ENAMETOOLONG, ENAMETOOLONG);
SAME(EADDRINUSE, EADDRINUSE);
SAME(ECONNRESET, ECONNRESET);
SAME(EUSERS, EUSERS);
SAME(ETOOMANYREFS, ETOOMANYREFS);
SAME(ECONNREFUSED, ECONNREFUSED);
SAME(EBADMSG, EBADMSG);
SAME(EHWPOISON, EHWPOISON);

// The rest of a native method's name and its first two parameters; what is left to read is the call.
#define NATIVE(type, name, ...) JNIEXPORT type JNICALL Java_io_github_userfaultfd_internal_Native_##name(__VA_ARGS__)
#define STATIC JNIEnv *env __attribute__((unused)), jclass self __attribute__((unused))

// A jlong that is a native address.
static void *at(jlong address)
{
    return (void *)(uintptr_t)address;
}

// A handle made here is an address. It is positive: 64-bit systems have no memory of processes in their upper half, and those of
// 32-bit ones are not extended by their sign.
static jlong handle(const void *pointer)
{
    return (jlong)(uintptr_t)pointer;
}

NATIVE(jint, close, STATIC, jint fd)
{
    return close(fd) < 0 ? -errno : 0;
}

NATIVE(jlong, continueRange, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_continue(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jlong, copy, STATIC, jint fd, jlong dst, jlong src, jlong length, jlong mode)
{
    return uffd_copy(fd, (uint64_t)dst, (uint64_t)src, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jint, create, STATIC, jint flags, jint method, jlong features, jlong ioctls, jlong created)
{
    return uffd_create(flags, method, (uint64_t)features, (uint64_t)ioctls, at(created));
}

NATIVE(jlong, directAddress, STATIC, jobject buffer)
{
    return handle((*env)->GetDirectBufferAddress(env, buffer));
}

NATIVE(jobject, directBuffer, STATIC, jlong address, jlong capacity)
{
    return (*env)->NewDirectByteBuffer(env, at(address), capacity);
}

NATIVE(jint, dirtyKeep, STATIC, jlong dirty)
{
    uffd_dirty_keep(at(dirty));
    return 0;
}

NATIVE(jint, dirtyMark, STATIC, jlong dirty, jlong offset, jlong length)
{
    return uffd_dirty_mark(at(dirty), (size_t)offset, (size_t)length);
}

NATIVE(jint, dirtyNote, STATIC, jlong dirty, jlong offset, jlong length)
{
    uffd_dirty_note(at(dirty), (size_t)offset, (size_t)length);
    return 0;
}

NATIVE(jint, dirtyRanges, STATIC, jlong dirty, jlong ranges, jint capacity)
{
    return uffd_dirty_ranges(at(dirty), at(ranges), capacity);
}

NATIVE(jint, dirtyScan, STATIC, jlong dirty, jlong offset, jlong length, jboolean rearm)
{
    return uffd_dirty_scan(at(dirty), (size_t)offset, (size_t)length, rearm);
}

NATIVE(jlong, dirtyStart, STATIC, jint fd, jlong address, jlong length)
{
    struct uffd_dirty *dirty = NULL;
    int failed = uffd_dirty_start(fd, (uintptr_t)address, (size_t)length, &dirty);
    return failed ? failed : handle(dirty);
}

NATIVE(jlong, dirtyStartInline, STATIC, jlong wp)
{
    struct uffd_dirty *dirty = NULL;
    int failed = uffd_dirty_start_inline(at(wp), &dirty);
    return failed ? failed : handle(dirty);
}

NATIVE(jint, dirtyStop, STATIC, jlong dirty)
{
    return uffd_dirty_stop(at(dirty));
}

// No lock; any thread.
static jint take_away(jlong address, jlong length, int advice)
{
    uffd_inline_disturb((uintptr_t)address, (size_t)length);
    return uffd_memory_advise(at(address), (size_t)length, advice);
}

NATIVE(jint, discard, STATIC, jlong address, jlong length)
{
    return take_away(address, length, MADV_DONTNEED);
}

NATIVE(jint, interrupt, STATIC, jint fd)
{
    return uffd_interrupt(fd);
}

NATIVE(jint, isMapped, STATIC, jlong address, jlong length)
{
    return uffd_memory_is_mapped(at(address), (size_t)length);
}

NATIVE(jint, keeperAhead, STATIC, jlong keeper, jlong runs, jlong bytes)
{
    return uffd_keeper_ahead(at(keeper), at(runs), (size_t)bytes);
}

NATIVE(jint, keeperDetach, STATIC, jlong keeper)
{
    return uffd_keeper_detach(at(keeper));
}

NATIVE(jint, keeperFinish, STATIC, jlong keeper)
{
    return uffd_keeper_finish(at(keeper));
}

NATIVE(jint, keeperFree, STATIC, jlong keeper)
{
    uffd_keeper_free(at(keeper));
    return 0;
}

NATIVE(jint, keeperReason, STATIC, jlong keeper, jlong text, jint room)
{
    return uffd_keeper_reason(at(keeper), at(text), room);
}

NATIVE(jlong, keeperStart, STATIC, jlong options, jlong status)
{
    struct uffd_keeper *keeper = NULL;
    int failed = uffd_keeper_start(at(options), &keeper, at(status));
    return failed ? failed : handle(keeper);
}

NATIVE(jint, keeperStats, STATIC, jlong keeper, jlong stats)
{
    uffd_keeper_stats(at(keeper), at(stats));
    return 0;
}

NATIVE(jint, mapMemory, STATIC, jint kind, jlong length, jlong page, jlong memory)
{
    return uffd_memory_map(kind, (uint64_t)length, (size_t)page, at(memory));
}

NATIVE(jlong, move, STATIC, jint fd, jlong dst, jlong src, jlong length, jlong mode)
{
    return uffd_move(fd, (uint64_t)dst, (uint64_t)src, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jint, nonBlocking, STATIC, jint fd)
{
    return uffd_non_blocking(fd);
}

NATIVE(jint, openAlias, STATIC, jlong address, jlong length)
{
    return uffd_memory_open_alias(at(address), (size_t)length);
}

NATIVE(jint, pageSize, STATIC)
{
    return getpagesize();
}

NATIVE(jint, pagemapScanProbe, STATIC)
{
    return uffd_pagemap_scan_probe();
}

NATIVE(jint, pagerDetach, STATIC, jlong pager)
{
    return uffd_pager_detach(at(pager));
}

NATIVE(jint, pagerFailedErrno, STATIC, jlong pager)
{
    return uffd_pager_failed_errno(at(pager));
}

NATIVE(jint, pagerFill, STATIC, jlong pager, jlong offset, jlong length)
{
    return uffd_pager_fill(at(pager), (size_t)offset, (size_t)length);
}

NATIVE(jint, pagerFinish, STATIC, jlong pager)
{
    return uffd_pager_finish(at(pager));
}

NATIVE(jint, pagerFree, STATIC, jlong pager)
{
    uffd_pager_free(at(pager));
    return 0;
}

NATIVE(jlong, pagerNextFailed, STATIC, jlong pager, jlong offset)
{
    return uffd_pager_next_failed(at(pager), (size_t)offset);
}

NATIVE(jlong, pagerStart, STATIC, jlong options)
{
    struct uffd_pager *pager = NULL;
    int failed = uffd_pager_start(at(options), &pager);
    return failed ? failed : handle(pager);
}

NATIVE(jint, pagerStats, STATIC, jlong pager, jlong stats)
{
    uffd_pager_stats(at(pager), at(stats));
    return 0;
}

NATIVE(jint, pidfdOpen, STATIC, jlong pid)
{
    return uffd_pidfd_open(pid);
}

NATIVE(jint, pidfdSignal, STATIC, jint pidfd, jint number)
{
    return uffd_pidfd_signal(pidfd, number);
}

NATIVE(jlong, poison, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_poison(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jint, poll, STATIC, jint fd, jlong nanoseconds)
{
    return uffd_poll(fd, nanoseconds);
}

NATIVE(jint, pollOrEnd, STATIC, jint fd, jint pidfd, jlong nanoseconds)
{
    return uffd_poll_or_end(fd, pidfd, nanoseconds);
}

NATIVE(jint, pollSocket, STATIC, jint fd, jboolean output, jlong nanoseconds)
{
    return uffd_poll_socket(fd, output, nanoseconds);
}

NATIVE(jint, punchHole, STATIC, jlong address, jlong length)
{
    return take_away(address, length, MADV_REMOVE);
}

NATIVE(jint, readEvents, STATIC, jint fd, jlong buffer, jint capacity)
{
    return uffd_read(fd, at(buffer), capacity);
}

NATIVE(jint, readWriteProtect, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_rwprotect(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jlong, register, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_register(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jint, residency, STATIC, jlong address, jlong length, jlong page, jlong bits)
{
    return uffd_memory_residency(at(address), (size_t)length, (size_t)page, at(bits));
}

NATIVE(jint, retire, STATIC, jlong address, jlong length)
{
    return uffd_memory_retire(at(address), (size_t)length);
}

NATIVE(jint, setMode, STATIC, jint fd, jlong enable, jlong disable)
{
    return uffd_set_mode(fd, (uint64_t)enable, (uint64_t)disable);
}

NATIVE(jint, sigbusIsOurs, STATIC)
{
    return uffd_sigbus_is_ours();
}

NATIVE(jint, snapshotBegin, STATIC, jlong wp)
{
    return uffd_snapshot_begin(at(wp));
}

NATIVE(jint, snapshotChanged, STATIC, jlong wp, jlong offset, jlong ranges, jint capacity)
{
    return uffd_snapshot_changed(at(wp), (size_t)offset, at(ranges), capacity);
}

NATIVE(jint, snapshotEnd, STATIC, jlong wp)
{
    uffd_snapshot_end(at(wp));
    return 0;
}

NATIVE(jint, snapshotKeep, STATIC, jlong wp)
{
    uffd_snapshot_keep(at(wp));
    return 0;
}

NATIVE(jint, snapshotRead, STATIC, jlong wp, jlong offset, jlong length, jlong to)
{
    return uffd_snapshot_read(at(wp), (size_t)offset, (size_t)length, at(to));
}

NATIVE(jint, snapshotRelease, STATIC, jlong wp, jlong offset, jlong length)
{
    uffd_snapshot_release(at(wp), (size_t)offset, (size_t)length);
    return 0;
}

NATIVE(jint, snapshotStats, STATIC, jlong wp, jlong stats)
{
    uffd_snapshot_stats(at(wp), at(stats));
    return 0;
}

NATIVE(jint, socketAccept, STATIC, jint listener)
{
    return uffd_socket_accept(listener);
}

NATIVE(jint, socketConnect, STATIC, jlong name, jint length)
{
    return uffd_socket_connect(at(name), (size_t)length);
}

NATIVE(jint, socketListen, STATIC, jlong name, jint length, jint backlog)
{
    return uffd_socket_listen(at(name), (size_t)length, backlog);
}

NATIVE(jint, socketPeer, STATIC, jint fd, jlong peer)
{
    return uffd_socket_peer(fd, at(peer));
}

NATIVE(jint, socketPeerPidfd, STATIC, jint fd)
{
    return uffd_socket_peer_pidfd(fd);
}

NATIVE(jlong, socketReceive, STATIC, jint fd, jlong bytes, jint length, jlong descriptors, jint room)
{
    return uffd_socket_receive(fd, at(bytes), (size_t)length, at(descriptors), room);
}

NATIVE(jlong, socketSend, STATIC, jint fd, jlong bytes, jint length, jlong descriptors, jint count)
{
    return uffd_socket_send(fd, at(bytes), (size_t)length, at(descriptors), count);
}

NATIVE(jlong, sourceFile, STATIC, jlong path, jlong offset, jlong length, jlong mapped)
{
    struct uffd_source *source = NULL;
    int failed = uffd_source_file(at(path), offset, length, (size_t)mapped, &source);
    return failed ? failed : handle(source);
}

NATIVE(jint, sourceFree, STATIC, jlong source)
{
    uffd_source_free(at(source));
    return 0;
}

NATIVE(jlong, sourceMemory, STATIC, jlong address, jlong length)
{
    struct uffd_source *source = NULL;
    int failed = uffd_source_memory(at(address), (size_t)length, &source);
    return failed ? failed : handle(source);
}

NATIVE(jint, sourcePlace, STATIC, jlong source, jlong offset, jlong text, jint room)
{
    return uffd_source_place(at(source), offset, at(text), (size_t)room);
}

NATIVE(jlong, sourceRuns, STATIC, jlong options)
{
    struct uffd_source *source = NULL;
    int failed = uffd_source_runs(at(options), &source);
    return failed ? failed : handle(source);
}

NATIVE(jint, touch, STATIC, jlong address, jlong length, jlong step)
{
    return uffd_touch(at(address), (size_t)length, (size_t)step);
}

NATIVE(jint, unmap, STATIC, jlong address, jlong length)
{
    return uffd_memory_unmap(at(address), (size_t)length);
}

NATIVE(jint, unnamedFile, STATIC, jlong directory)
{
    return uffd_saved_unnamed_file(at(directory));
}

NATIVE(jint, unregister, STATIC, jint fd, jlong start, jlong length)
{
    return uffd_unregister(fd, (uint64_t)start, (uint64_t)length);
}

NATIVE(jint, wake, STATIC, jint fd, jlong start, jlong length)
{
    return uffd_wake(fd, (uint64_t)start, (uint64_t)length);
}

NATIVE(jint, wpFree, STATIC, jlong wp)
{
    uffd_wp_free(at(wp));
    return 0;
}

NATIVE(jint, wpOpen, STATIC, jlong wp, jlong offset, jlong length)
{
    return uffd_wp_open(at(wp), (size_t)offset, (size_t)length);
}

NATIVE(jlong, wpStart, STATIC, jlong options)
{
    struct uffd_wp *wp = NULL;
    int failed = uffd_wp_start(at(options), &wp);
    return failed ? failed : handle(wp);
}

NATIVE(jint, wpStop, STATIC, jlong wp)
{
    return uffd_wp_stop(at(wp));
}

NATIVE(jint, writeProtect, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_writeprotect(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}

NATIVE(jint, writeProtectProbe, STATIC)
{
    return uffd_write_protect_probe();
}

NATIVE(jlong, zeropage, STATIC, jint fd, jlong start, jlong length, jlong mode)
{
    return uffd_zeropage(fd, (uint64_t)start, (uint64_t)length, (uint64_t)mode);
}
