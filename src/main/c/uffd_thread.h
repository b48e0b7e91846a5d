// SPDX-License-Identifier: Apache-2.0
// Engine THREAD: threads of C that resolve the faults of one region.
#ifndef UFFD_THREAD_H
#define UFFD_THREAD_H

struct uffd_paged;
struct uffd_threads;

int uffd_threads_start(struct uffd_paged *paged, int count, struct uffd_threads **result);
void uffd_threads_stop(struct uffd_threads *threads);

#endif
