// SPDX-License-Identifier: Apache-2.0
// Keeps a region of this process served by a child process. All of it is native: while a thread of this process waits for a
// page, this JVM may be stopped on its way to a safepoint, and then no Java code could start another child.
#ifndef UFFD_KEEPER_H
#define UFFD_KEEPER_H

#include <stddef.h>
#include <stdint.h>

enum { UFFD_CHILD_CONTROL = 3, UFFD_CHILD_UFFD = 4 };      // the descriptors that the child finds
enum { UFFD_KEEPER_SERVES, UFFD_KEEPER_GAVE_UP };
enum { UFFD_CHILD_READY = 'R', UFFD_CHILD_FAILED = 'F' };  // first byte of its records
enum { UFFD_AHEAD_BYTES = 32768 };                          // of one message to it: longs, an offset and a length in turn
enum { UFFD_RECORD_BYTES = 256, UFFD_RECORD_TEXT = 16 };   // a byte, 7 unused, an offset, text that ends with a zero byte

struct uffd_keeper;

// What Java asks for; all int64_t, because Java writes it as longs.
struct uffd_keeper_options {
    int64_t fd;          // non-blocking, for missing pages, without events
    int64_t address;
    int64_t memory;      // the memfd below shared memory, -1 for private memory
    int64_t length;
    int64_t page;
    int64_t arguments;   // address of the child's command line: words that end with zero bytes
    int64_t count;       // of words
    int64_t restarts;    // within a minute, and in a row that fail
    int64_t ready;       // nanoseconds that a child may take until it serves
    int64_t on_failure;  // UFFD_FAILURE_* when no child can be had any more
};

// All int64_t, because Java reads it as longs.
struct uffd_keeper_stats {
    int64_t pid;         // of the child
    int64_t restarts;
    int64_t recovery;    // nanoseconds from the last death that was noticed until its successor served
    int64_t start;       // nanoseconds that the first child took
    int64_t state;       // UFFD_KEEPER_*
    int64_t failures;    // records of failed pages
    int64_t failed_at;   // the first one's offset
    int64_t child_status; // of the last child that ended, wait(2)
};

int uffd_keeper_start(const struct uffd_keeper_options *options, struct uffd_keeper **result, int64_t *status);
void uffd_keeper_stats(struct uffd_keeper *keeper, struct uffd_keeper_stats *stats);
int uffd_keeper_ahead(struct uffd_keeper *keeper, const int64_t *runs, size_t bytes);
int uffd_keeper_reason(const struct uffd_keeper *keeper, char *text, int room);
int uffd_keeper_finish(struct uffd_keeper *keeper);
int uffd_keeper_detach(struct uffd_keeper *keeper);
void uffd_keeper_free(struct uffd_keeper *keeper);

#endif
