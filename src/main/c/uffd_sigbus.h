// SPDX-License-Identifier: Apache-2.0
// The process's one SIGBUS handler, in front of the one that was there before.
#ifndef UFFD_SIGBUS_H
#define UFFD_SIGBUS_H

#include <stddef.h>

int uffd_sigbus_install(void);
int uffd_sigbus_is_ours(void);
int uffd_touch(const volatile char *address, size_t length, size_t step);

#endif
