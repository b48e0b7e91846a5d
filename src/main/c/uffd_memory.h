// SPDX-License-Identifier: Apache-2.0
// Memory that Java does not have: page-aligned mappings, their residency and their end. Returns a value >= 0 or -errno.
#ifndef UFFD_MEMORY_H
#define UFFD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum { UFFD_MEMORY_ANONYMOUS, UFFD_MEMORY_SHARED, UFFD_MEMORY_HUGE };

struct uffd_memory {
    int64_t address;
    int64_t alias;  // a second mapping of the same pages, closed until uffd_memory_open_alias; or 0
    int64_t fd;     // the memfd below them, or -1
};

int uffd_memory_map(int kind, uint64_t bytes, size_t page, struct uffd_memory *memory);
int uffd_memory_open_alias(void *address, size_t length);
int uffd_memory_unmap(void *address, size_t length);
int uffd_memory_retire(void *address, size_t length);
int uffd_memory_advise(void *address, size_t length, int advice);
int uffd_memory_empty(void *address, size_t length, size_t page);
int uffd_memory_register_empty(int fd, void *address, int memory, size_t length, size_t page);
void uffd_memory_end_registration(void *address, size_t length);
int uffd_memory_is_mapped(void *address, size_t length);
int uffd_memory_residency(void *address, size_t length, size_t page, uint64_t *bits);

#endif
