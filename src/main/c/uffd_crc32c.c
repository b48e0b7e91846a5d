// SPDX-License-Identifier: Apache-2.0
#include "uffd_crc32c.h"

#include "uffd_arch.h"

#include <pthread.h>

UFFD_OLD_SYMBOL(pthread_once);

static const uint32_t POLYNOMIAL = UINT32_C(0x82F63B78);  // its bits reversed

// The remainder of each byte that 0 to 7 more bytes follow: eight bytes a step. Written once, before anybody reads.
static uint32_t tables[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// No lock; runs once.
static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;
        for (int bit = 0; bit < 8; bit++)
            remainder = remainder >> 1 ^ (remainder & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = remainder;
    }
    for (int after = 1; after < 8; after++) {
        for (int byte = 0; byte < 256; byte++)
            tables[after][byte] = tables[after - 1][byte] >> 8 ^ tables[0][tables[after - 1][byte] & 255];
    }
}

// Takes a lock the first time; any thread, not in a signal handler.
void uffd_crc32c_prepare(void)
{
    pthread_once(&once, make_tables);
}

// No lock; any thread.
static uint32_t step_8(uint32_t crc, const unsigned char *at)
{
    crc ^= at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24]
        ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
}

// No lock; any thread and signal handlers, after uffd_crc32c_prepare.
uint32_t uffd_crc32c(const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint32_t crc = UINT32_MAX;
#ifdef UFFD_CRC32C_INSTRUCTION
    if (uffd_has_crc32c_instruction())
        return ~uffd_crc32c_by_instruction(crc, at, length);
#endif
    for (; length >= 8; length -= 8, at += 8)
        crc = step_8(crc, at);
    for (; length > 0; length--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    return ~crc;
}
