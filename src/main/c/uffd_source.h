// SPDX-License-Identifier: Apache-2.0
// Where pages come from: an address range that UFFDIO_COPY can read, so that no page is copied twice.
#ifndef UFFD_SOURCE_H
#define UFFD_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct uffd_source {
    char *base;
    size_t mapped;     // bytes to unmap at the end, 0 for memory of somebody else
    int fd;            // the file, to notice that it was cut short; -1 without one
    int64_t file_end;  // the least size the file has to have
    char name[128];    // for messages
};

int uffd_source_file(const char *path, int64_t offset, int64_t length, size_t mapped, struct uffd_source **result);
int uffd_source_memory(char *address, size_t length, struct uffd_source **result);
int uffd_source_check(const struct uffd_source *source);
void uffd_source_free(struct uffd_source *source);

#endif
