// SPDX-License-Identifier: Apache-2.0
// Pages from checkpoint files: runs of pages, each with a checksum that is looked at before a page of it is used.
#ifndef UFFD_RUNS_H
#define UFFD_RUNS_H

#include <stddef.h>
#include <stdint.h>

// A run as Java gives it. Where two overlap, the later one counts.
struct uffd_run {
    int64_t offset;       // of the first page, in bytes from the region's start
    int64_t length;       // in bytes, whole pages
    int64_t file;         // index of the file; -1 for zeros, which no file has
    int64_t file_offset;  // where the run begins there
    int64_t crc;          // CRC-32C of its bytes
};

struct uffd_run_options {
    int64_t names;   // address of the files' names, each ended by a zero byte
    int64_t files;   // how many
    int64_t runs;    // address of struct uffd_run
    int64_t count;   // how many
    int64_t length;  // of the region; each page of it has to be in a run
    int64_t page;    // size of its pages
};

struct uffd_runs;

// Bytes [from, to) of a source, at `address`, that are there to be copied until they are given back.
struct uffd_lent {
    size_t from;
    size_t to;
    uintptr_t address;
    int slot;  // to be given back, -1 without one
};

int uffd_runs_open(const struct uffd_run_options *options, struct uffd_runs **result);
void uffd_runs_close(struct uffd_runs *runs);
int uffd_runs_lend(struct uffd_runs *runs, size_t at, struct uffd_lent *lent);
void uffd_runs_give_back(struct uffd_runs *runs, const struct uffd_lent *lent);
int64_t uffd_runs_failed(const struct uffd_runs *runs);
const char *uffd_runs_name(const struct uffd_runs *runs, size_t at, uint64_t *file_offset);

#endif
