// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.lang.annotation.Native;

/**
 * Every number that Java and C share. {@code javac -h} turns this class into a C header, and {@code uffd_jni.c} holds each
 * value against the kernel's own headers and the shim's structures with {@code _Static_assert}.
 */
public final class Abi {
    private Abi() {}

    // UFFD_FEATURE_*, include/uapi/linux/userfaultfd.h. One @Native is enough for the header to get every constant.
    @Native
    public static final long FEATURE_PAGEFAULT_FLAG_WP = 1L << 0;
    public static final long FEATURE_EVENT_FORK = 1L << 1;
    public static final long FEATURE_EVENT_REMAP = 1L << 2;
    public static final long FEATURE_EVENT_REMOVE = 1L << 3;
    public static final long FEATURE_MISSING_HUGETLBFS = 1L << 4;
    public static final long FEATURE_MISSING_SHMEM = 1L << 5;
    public static final long FEATURE_EVENT_UNMAP = 1L << 6;
    public static final long FEATURE_SIGBUS = 1L << 7;
    public static final long FEATURE_THREAD_ID = 1L << 8;
    public static final long FEATURE_MINOR_HUGETLBFS = 1L << 9;
    public static final long FEATURE_MINOR_SHMEM = 1L << 10;
    public static final long FEATURE_EXACT_ADDRESS = 1L << 11;
    public static final long FEATURE_WP_HUGETLBFS_SHMEM = 1L << 12;
    public static final long FEATURE_WP_UNPOPULATED = 1L << 13;
    public static final long FEATURE_POISON = 1L << 14;
    public static final long FEATURE_WP_ASYNC = 1L << 15;
    public static final long FEATURE_MOVE = 1L << 16;
    public static final long FEATURE_RWP = 1L << 17;
    public static final long FEATURE_RWP_ASYNC = 1L << 18;

    // _UFFDIO_*: the number of an ioctl is also its bit in the masks that UFFDIO_API and UFFDIO_REGISTER return.
    public static final int IOCTL_REGISTER = 0x00;
    public static final int IOCTL_UNREGISTER = 0x01;
    public static final int IOCTL_WAKE = 0x02;
    public static final int IOCTL_COPY = 0x03;
    public static final int IOCTL_ZEROPAGE = 0x04;
    public static final int IOCTL_MOVE = 0x05;
    public static final int IOCTL_WRITEPROTECT = 0x06;
    public static final int IOCTL_CONTINUE = 0x07;
    public static final int IOCTL_POISON = 0x08;
    public static final int IOCTL_RWPROTECT = 0x09;
    public static final int IOCTL_SET_MODE = 0x0A;
    public static final int IOCTL_API = 0x3F;

    public static final long REGISTER_MODE_MISSING = 1;
    public static final long REGISTER_MODE_WP = 2;
    public static final long REGISTER_MODE_MINOR = 4;
    public static final long REGISTER_MODE_RWP = 8;

    // Mode bits, a set for each ioctl. DONTWAKE is 1 everywhere but in WRITEPROTECT and RWPROTECT.
    public static final long MODE_DONTWAKE = 1;
    public static final long COPY_MODE_WP = 2;
    public static final long CONTINUE_MODE_WP = 2;
    public static final long MOVE_MODE_ALLOW_SRC_HOLES = 2;
    public static final long WRITEPROTECT_MODE_WP = 1;
    public static final long WRITEPROTECT_MODE_DONTWAKE = 2;
    public static final long RWPROTECT_MODE_RWP = 1;
    public static final long RWPROTECT_MODE_DONTWAKE = 2;

    // struct uffd_msg
    public static final int MSG_SIZE = 32;
    public static final int MSG_EVENT = 0;
    public static final int MSG_FAULT_FLAGS = 8;
    public static final int MSG_FAULT_ADDRESS = 16;
    public static final int MSG_FAULT_THREAD_ID = 24;
    public static final int MSG_FORK_FD = 8;
    public static final int MSG_REMAP_FROM = 8;
    public static final int MSG_REMAP_TO = 16;
    public static final int MSG_REMAP_LENGTH = 24;
    public static final int MSG_START = 8;
    public static final int MSG_END = 16;

    public static final int EVENT_PAGEFAULT = 0x12;
    public static final int EVENT_FORK = 0x13;
    public static final int EVENT_REMAP = 0x14;
    public static final int EVENT_REMOVE = 0x15;
    public static final int EVENT_UNMAP = 0x16;

    public static final long FAULT_FLAG_WRITE = 1;
    public static final long FAULT_FLAG_WP = 2;
    public static final long FAULT_FLAG_MINOR = 4;
    public static final long FAULT_FLAG_RWP = 8;

    // Native.create: flags in ...
    public static final int CREATE_CLOSE_ON_EXEC = 1;
    public static final int CREATE_NON_BLOCKING = 2;
    public static final int CREATE_USER_MODE_ONLY = 4;
    public static final int OPEN_AUTO = 0;
    public static final int OPEN_DEVICE = 1;
    public static final int OPEN_SYSCALL = 2;
    // ... and the longs that come out (struct uffd_created).
    public static final int CREATED_FEATURES = 0;
    public static final int CREATED_IOCTLS = 1;
    public static final int CREATED_MISSING_FEATURES = 2;
    public static final int CREATED_MISSING_IOCTLS = 3;
    public static final int CREATED_DEVICE_ERRNO = 4;
    public static final int CREATED_SYSCALL_ERRNO = 5;
    public static final int CREATED_OPENED_BY = 6;
    public static final int CREATED_STAGE = 7;
    public static final int CREATED_LONGS = 8;
    public static final int STAGE_OPEN = 0;
    public static final int STAGE_API = 1;
    public static final int STAGE_DONE = 2;
    /** In CREATED_DEVICE_ERRNO and CREATED_SYSCALL_ERRNO: this way was not tried. */
    public static final int NOT_TRIED = -1;

    // Native.mapMemory: kinds, and the longs that come out (struct uffd_memory).
    public static final int MEMORY_ANONYMOUS = 0;
    public static final int MEMORY_SHARED = 1;
    public static final int MEMORY_HUGE = 2;
    public static final int MEMORY_ADDRESS = 0;
    public static final int MEMORY_ALIAS = 1;
    public static final int MEMORY_FD = 2;
    public static final int MEMORY_LONGS = 3;

    // Native.pagerStart: the longs that go in (struct uffd_pager_options).
    public static final int OPTION_FD = 0;
    public static final int OPTION_ADDRESS = 1;
    public static final int OPTION_LENGTH = 2;
    public static final int OPTION_PAGE = 3;
    public static final int OPTION_SOURCE = 4;
    public static final int OPTION_AROUND = 5;
    public static final int OPTION_ENGINE = 6;
    public static final int OPTION_THREADS = 7;
    public static final int OPTION_ON_FAILURE = 8;
    public static final int OPTION_MEMORY = 9;
    public static final int OPTION_LONGS = 10;
    public static final int ENGINE_INLINE = 0;
    public static final int ENGINE_THREAD = 1;
    public static final int FAILURE_ABORT = 0;
    public static final int FAILURE_FILL = 1;

    // A run of pages in a checkpoint file (struct uffd_run).
    public static final int RUN_OFFSET = 0;
    public static final int RUN_LENGTH = 1;
    public static final int RUN_FILE = 2;
    public static final int RUN_FILE_OFFSET = 3;
    public static final int RUN_CRC = 4;
    public static final int RUN_LONGS = 5;

    // Native.sourceRuns: the longs that go in (struct uffd_run_options).
    public static final int RUNS_NAMES = 0;
    public static final int RUNS_FILES = 1;
    public static final int RUNS_RUNS = 2;
    public static final int RUNS_COUNT = 3;
    public static final int RUNS_LENGTH = 4;
    public static final int RUNS_PAGE = 5;
    public static final int RUNS_LONGS = 6;

    // Native.pagerStats (struct uffd_pager_stats), all counted since the start.
    public static final int STATS_FAULTS = 0;
    public static final int STATS_PAGES = 1;
    public static final int STATS_PRESENT = 2;
    public static final int STATS_RETRIED = 3;
    public static final int STATS_FAILED = 4;
    public static final int STATS_NANOSECONDS = 5;
    public static final int STATS_LONGS = 6;

    // Native.dirtyRanges (struct uffd_dirty_range).
    public static final int RANGE_OFFSET = 0;
    public static final int RANGE_LENGTH = 1;
    public static final int RANGE_LONGS = 2;

    // Native.wpStart: the longs that go in (struct uffd_wp_options).
    public static final int WP_FD = 0;
    public static final int WP_ADDRESS = 1;
    public static final int WP_LENGTH = 2;
    public static final int WP_PAGE = 3;
    public static final int WP_AHEAD = 4;
    public static final int WP_LIMIT = 5;
    public static final int WP_SPILL = 6;
    public static final int WP_POPULATE = 7;
    public static final int WP_UNCHANGED = 8;
    public static final int WP_PAGER = 9;
    public static final int WP_MEMORY = 10;
    public static final int WP_LONGS = 11;
    // Native.snapshotStats (struct uffd_saved_stats).
    public static final int SAVED_MEMORY = 0;
    public static final int SAVED_SPILLED = 1;
    public static final int SAVED_LONGS = 2;

    // Native.keeperStart: the longs that go in (struct uffd_keeper_options).
    public static final int KEEPER_FD = 0;
    public static final int KEEPER_ADDRESS = 1;
    public static final int KEEPER_MEMORY = 2;
    public static final int KEEPER_LENGTH = 3;
    public static final int KEEPER_PAGE = 4;
    public static final int KEEPER_ARGUMENTS = 5;
    public static final int KEEPER_COUNT = 6;
    public static final int KEEPER_RESTARTS = 7;
    public static final int KEEPER_READY = 8;
    public static final int KEEPER_ON_FAILURE = 9;
    public static final int KEEPER_LONGS = 10;
    // Native.keeperStats (struct uffd_keeper_stats).
    public static final int KEPT_PID = 0;
    public static final int KEPT_RESTARTS = 1;
    public static final int KEPT_RECOVERY = 2;
    public static final int KEPT_START = 3;
    public static final int KEPT_STATE = 4;
    public static final int KEPT_FAILURES = 5;
    public static final int KEPT_FAILED_AT = 6;
    public static final int KEPT_CHILD_STATUS = 7;
    public static final int KEPT_LONGS = 8;
    public static final int KEEPER_GAVE_UP = 1;
    // What the child of a keeper finds, the runs that it is told, and the records that it writes.
    public static final int CHILD_CONTROL = 3;
    public static final int CHILD_UFFD = 4;
    public static final int CHILD_READY = 'R';
    public static final int CHILD_FAILED = 'F';
    public static final int AHEAD_BYTES = 32768;
    public static final int RECORD_BYTES = 256;
    public static final int RECORD_TEXT = 16;

    // Native.socketPeer (struct uffd_peer), and how many descriptors a message can carry.
    public static final int PEER_PID = 0;
    public static final int PEER_UID = 1;
    public static final int PEER_GID = 2;
    public static final int PEER_LONGS = 3;
    public static final int MOST_DESCRIPTORS = 253;
    public static final int SIGKILL = 9;

    // errno values that the library speaks of by name.
    public static final int EPERM = 1;
    public static final int ENOENT = 2;
    public static final int ESRCH = 3;
    public static final int EINTR = 4;
    public static final int EIO = 5;
    public static final int EBADF = 9;
    public static final int ECHILD = 10;
    public static final int EAGAIN = 11;
    public static final int ENOMEM = 12;
    public static final int EACCES = 13;
    public static final int EFAULT = 14;
    public static final int EBUSY = 16;
    public static final int EEXIST = 17;
    public static final int ENODEV = 19;
    public static final int EINVAL = 22;
    public static final int ENFILE = 23;
    public static final int EMFILE = 24;
    public static final int ENOTTY = 25;
    public static final int ENOSPC = 28;
    public static final int EPIPE = 32;
    public static final int ENAMETOOLONG = 36;
    public static final int ENOSYS = 38;
    public static final int ENODATA = 61;
    public static final int EBADMSG = 74;
    public static final int EUSERS = 87;
    public static final int EOPNOTSUPP = 95;
    public static final int EADDRINUSE = 98;
    public static final int ECONNRESET = 104;
    public static final int ETOOMANYREFS = 109;
    public static final int ETIMEDOUT = 110;
    public static final int ECONNREFUSED = 111;
    public static final int EHWPOISON = 133;
}
