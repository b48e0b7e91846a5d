// SPDX-License-Identifier: Apache-2.0
// The kernel's numbers and structures: its own header where that has them, and what older headers lack.
#ifndef UFFD_ABI_H
#define UFFD_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// Linux 5.11: faults of user mode only; also the one flag that the device (6.1) takes by value.
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

// Linux 5.14.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

// Linux 5.18.
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

// Features by the bit that include/uapi/linux/userfaultfd.h gave them.
#define UFFD_HAS_FEATURE(bit) (UINT64_C(1) << (bit))
#ifndef UFFD_FEATURE_MINOR_HUGETLBFS
#define UFFD_FEATURE_MINOR_HUGETLBFS UFFD_HAS_FEATURE(9)
#endif
#ifndef UFFD_FEATURE_MINOR_SHMEM
#define UFFD_FEATURE_MINOR_SHMEM UFFD_HAS_FEATURE(10)
#endif
#ifndef UFFD_FEATURE_EXACT_ADDRESS
#define UFFD_FEATURE_EXACT_ADDRESS UFFD_HAS_FEATURE(11)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM UFFD_HAS_FEATURE(12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED UFFD_HAS_FEATURE(13)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON UFFD_HAS_FEATURE(14)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC UFFD_HAS_FEATURE(15)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE UFFD_HAS_FEATURE(16)
#endif

// Linux 7.3
#ifndef UFFD_FEATURE_RWP
#define UFFD_FEATURE_RWP UFFD_HAS_FEATURE(17)
#define UFFD_FEATURE_RWP_ASYNC UFFD_HAS_FEATURE(18)
#define _UFFDIO_RWPROTECT 0x09
#define UFFDIO_REGISTER_MODE_RWP (UINT64_C(1) << 3)
#define UFFD_PAGEFAULT_FLAG_RWP 8
#define _UFFDIO_SET_MODE 0x0A
struct uffdio_rwprotect {
    struct uffdio_range range;
    __u64 mode;
};
struct uffdio_set_mode {
    __u64 enable;
    __u64 disable;
};
#define UFFDIO_RWPROTECT _IOWR(UFFDIO, _UFFDIO_RWPROTECT, struct uffdio_rwprotect)
#define UFFDIO_RWPROTECT_MODE_RWP (UINT64_C(1) << 0)
#define UFFDIO_RWPROTECT_MODE_DONTWAKE (UINT64_C(1) << 1)
#define UFFDIO_SET_MODE _IOW(UFFDIO, _UFFDIO_SET_MODE, struct uffdio_set_mode)
#endif

#ifndef UFFDIO_REGISTER_MODE_MINOR
#define UFFDIO_REGISTER_MODE_MINOR (UINT64_C(1) << 2)
#endif
#ifndef UFFD_PAGEFAULT_FLAG_MINOR
#define UFFD_PAGEFAULT_FLAG_MINOR 4
#endif

// Linux 5.13; its WP mode 6.4.
#ifndef UFFDIO_CONTINUE
#define _UFFDIO_CONTINUE 0x07
struct uffdio_continue {
    struct uffdio_range range;
    __u64 mode;
    __s64 mapped;
};
#define UFFDIO_CONTINUE _IOWR(UFFDIO, _UFFDIO_CONTINUE, struct uffdio_continue)
#define UFFDIO_CONTINUE_MODE_DONTWAKE (UINT64_C(1) << 0)
#endif
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP (UINT64_C(1) << 1)
#endif

// Linux 6.6
#ifndef UFFDIO_POISON
#define _UFFDIO_POISON 0x08
struct uffdio_poison {
    struct uffdio_range range;
    __u64 mode;
    __s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, _UFFDIO_POISON, struct uffdio_poison)
#define UFFDIO_POISON_MODE_DONTWAKE (UINT64_C(1) << 0)
#endif

// Linux 6.8
#ifndef UFFDIO_MOVE
#define _UFFDIO_MOVE 0x05
struct uffdio_move {
    __u64 dst;
    __u64 src;
    __u64 len;
    __u64 mode;
    __s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, _UFFDIO_MOVE, struct uffdio_move)
#define UFFDIO_MOVE_MODE_DONTWAKE (UINT64_C(1) << 0)
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES (UINT64_C(1) << 1)
#endif

// Linux 6.7, include/uapi/linux/fs.h. Declared under names of our own: that header clashes with libc's sys/mount.h.
struct uffd_pm_scan_arg {
    __u64 size;
    __u64 flags;
    __u64 start;
    __u64 end;
    __u64 walk_end;
    __u64 vec;
    __u64 vec_len;
    __u64 max_pages;
    __u64 category_inverted;
    __u64 category_mask;
    __u64 category_anyof_mask;
    __u64 return_mask;
};
struct uffd_page_region {
    __u64 start;
    __u64 end;
    __u64 categories;
};
#define UFFD_PAGEMAP_SCAN _IOWR('f', 16, struct uffd_pm_scan_arg)
#define UFFD_PAGE_IS_PRESENT (UINT64_C(1) << 3)

_Static_assert(sizeof(struct uffd_msg) == 32, "read() hands out messages of 32 bytes");
_Static_assert(sizeof(struct uffdio_move) == 40, "UFFDIO_MOVE");
_Static_assert(sizeof(struct uffdio_continue) == 32, "UFFDIO_CONTINUE");
_Static_assert(sizeof(struct uffdio_poison) == 32, "UFFDIO_POISON");
_Static_assert(sizeof(struct uffdio_rwprotect) == 24, "UFFDIO_RWPROTECT");
_Static_assert(sizeof(struct uffdio_set_mode) == 16, "UFFDIO_SET_MODE");
_Static_assert(sizeof(struct uffd_pm_scan_arg) == 96, "PAGEMAP_SCAN");


#endif
