// SPDX-License-Identifier: Apache-2.0
// Where pages come from: an address range that UFFDIO_COPY can read, so that no page is copied twice, or runs of pages in files
// that have to be checked first.
#ifndef UFFD_SOURCE_H
#define UFFD_SOURCE_H

#include "uffd_runs.h"

#include <stddef.h>
#include <stdint.h>

struct uffd_source {
    char *base;
    size_t mapped;           // bytes to unmap at the end, 0 for memory of somebody else
    int fd;                  // the file, to notice that it was cut short; -1 without one
    int64_t file_begin;      // where the source begins in it
    int64_t file_end;        // the least size the file has to have
    char name[128];          // for messages
    struct uffd_runs *runs;  // instead of a range of addresses, NULL without
};

int uffd_source_file(const char *path, int64_t offset, int64_t length, size_t mapped, struct uffd_source **result);
int uffd_source_memory(char *address, size_t length, struct uffd_source **result);
int uffd_source_runs(const struct uffd_run_options *options, struct uffd_source **result);
int uffd_source_reach(const struct uffd_source *source, size_t *reach);
int uffd_source_lend(const struct uffd_source *source, size_t at, struct uffd_lent *lent);
void uffd_source_give_back(const struct uffd_source *source, const struct uffd_lent *lent);
const char *uffd_source_name(const struct uffd_source *source, size_t at, uint64_t *file_offset);
int uffd_source_place(const struct uffd_source *source, int64_t at, char *text, size_t room);
void uffd_source_free(struct uffd_source *source);

#endif
