// SPDX-License-Identifier: Apache-2.0
// The system calls of userfaultfd. Every function returns a value >= 0 or -errno and leaves errno as it may.
#ifndef UFFD_SYS_H
#define UFFD_SYS_H

#include <stddef.h>
#include <stdint.h>

enum { UFFD_OPEN_AUTO, UFFD_OPEN_DEVICE, UFFD_OPEN_SYSCALL };
enum { UFFD_CLOSE_ON_EXEC = 1, UFFD_NON_BLOCKING = 2, UFFD_FAULTS_OF_USER_MODE = 4 };
enum { UFFD_STAGE_OPEN, UFFD_STAGE_API, UFFD_STAGE_DONE };
enum { UFFD_NOT_TRIED = -1 };

// What uffd_create tells besides the descriptor; all int64_t, because Java reads it as longs.
struct uffd_created {
    int64_t features;         // what UFFDIO_API answered: all that this kernel has
    int64_t ioctls;           // what UFFDIO_API answered, and the required ones that a scratch page was found to have
    int64_t missing_features; // required and not there
    int64_t missing_ioctls;
    int64_t device_errno;     // 0, or why this way did not open, or UFFD_NOT_TRIED
    int64_t syscall_errno;
    int64_t opened_by;        // UFFD_OPEN_DEVICE or UFFD_OPEN_SYSCALL
    int64_t stage;            // how far it came
};

int uffd_create(int flags, int method, uint64_t features, uint64_t ioctls, struct uffd_created *created);
int64_t uffd_register(int fd, uint64_t start, uint64_t length, uint64_t mode);
int uffd_unregister(int fd, uint64_t start, uint64_t length);
int uffd_wake(int fd, uint64_t start, uint64_t length);
int64_t uffd_copy(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode);
int uffd_populate(uint64_t address, uint64_t length);
int uffd_read_all(int fd, char *to, size_t length, int64_t offset, int at_end);
int64_t uffd_zeropage(int fd, uint64_t start, uint64_t length, uint64_t mode);
int64_t uffd_move(int fd, uint64_t dst, uint64_t src, uint64_t length, uint64_t mode);
int64_t uffd_continue(int fd, uint64_t start, uint64_t length, uint64_t mode);
int64_t uffd_poison(int fd, uint64_t start, uint64_t length, uint64_t mode);
int uffd_writeprotect(int fd, uint64_t start, uint64_t length, uint64_t mode);
int uffd_rwprotect(int fd, uint64_t start, uint64_t length, uint64_t mode);
int uffd_set_mode(int fd, uint64_t enable, uint64_t disable);
int uffd_pagemap_scan_probe(void);
int uffd_write_protect_probe(void);

#endif
