// SPDX-License-Identifier: Apache-2.0
// Other copies of this library in the same process: signals and their handlers are the whole process's.
#ifndef UFFD_COPIES_H
#define UFFD_COPIES_H

int uffd_is_another_copy(void *handler);

#endif
