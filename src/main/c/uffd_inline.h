// SPDX-License-Identifier: Apache-2.0
// Engine INLINE: the faulting thread resolves its own fault in the SIGBUS handler (UFFD_FEATURE_SIGBUS).
#ifndef UFFD_INLINE_H
#define UFFD_INLINE_H

#include <stdint.h>

struct uffd_paged;

int uffd_inline_add(struct uffd_paged *paged);
void uffd_inline_remove(struct uffd_paged *paged);
void uffd_inline_quiesce(void);
int uffd_inline_resolve(uintptr_t address);

#endif
