// SPDX-License-Identifier: Apache-2.0
#include "uffd_bits.h"

// No lock; any thread.
size_t uffd_bits_words(size_t pages)
{
    return (pages + 63) / 64;
}

// No lock; any thread. The bits of a word that stand for pages of [from, to).
static uint64_t mask(size_t word, size_t from, size_t to)
{
    uint64_t bits = UINT64_MAX;
    if (from > word * 64)
        bits &= UINT64_MAX << (from % 64);
    if (to < (word + 1) * 64)
        bits &= UINT64_MAX >> (63 - (to - 1) % 64);
    return bits;
}

// No lock; the caller has the bits for itself.
void uffd_bits_set(uint64_t *bits, size_t from, size_t to)
{
    for (size_t word = from / 64; from < to && word <= (to - 1) / 64; word++)
        bits[word] |= mask(word, from, to);
}

// No lock; the caller has the bits for itself.
void uffd_bits_clear(uint64_t *bits, size_t from, size_t to)
{
    for (size_t word = from / 64; from < to && word <= (to - 1) / 64; word++)
        bits[word] &= ~mask(word, from, to);
}

// No lock; the caller has the bits for itself. The first page from `from` on whose bit is `wanted`, or `end`.
size_t uffd_bits_find(const uint64_t *bits, size_t from, size_t end, int wanted)
{
    while (from < end) {
        uint64_t word = (wanted ? bits[from / 64] : ~bits[from / 64]) >> (from % 64);
        if (word) {
            from += (size_t)__builtin_ctzll(word);
            return from < end ? from : end;
        }
        from = (from / 64 + 1) * 64;
    }
    return end;
}

// No lock; the caller has the bits for itself. Neighbours make one range; how many, fewer than `capacity` only at the end. Goes on
// from the page *next, and leaves it behind the last range.
int uffd_bits_ranges(const uint64_t *bits, size_t pages, size_t page, size_t *next, struct uffd_range *ranges, int capacity)
{
    int count = 0;
    while (count < capacity) {
        size_t from = uffd_bits_find(bits, *next, pages, 1);
        if (from == pages)
            break;
        *next = uffd_bits_find(bits, from, pages, 0);
        ranges[count++] = (struct uffd_range){ (int64_t)(from * page), (int64_t)((*next - from) * page) };
    }
    return count;
}
