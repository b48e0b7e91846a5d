// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as java.util.zip.CRC32C: a fault cannot ask Java for it.
#ifndef UFFD_CRC32C_H
#define UFFD_CRC32C_H

#include <stddef.h>
#include <stdint.h>

void uffd_crc32c_prepare(void);
uint32_t uffd_crc32c(const char *bytes, size_t length);

#endif
