// SPDX-License-Identifier: Apache-2.0
// One bit a page, and the ranges that they make.
#ifndef UFFD_BITS_H
#define UFFD_BITS_H

#include <stddef.h>
#include <stdint.h>

struct uffd_range {
    int64_t offset;
    int64_t length;
};

size_t uffd_bits_words(size_t pages);
void uffd_bits_set(uint64_t *bits, size_t from, size_t to);
void uffd_bits_clear(uint64_t *bits, size_t from, size_t to);
size_t uffd_bits_find(const uint64_t *bits, size_t from, size_t end, int wanted);
int uffd_bits_ranges(const uint64_t *bits, size_t pages, size_t page, size_t *next, struct uffd_range *ranges, int capacity);

#endif
