// SPDX-License-Identifier: Apache-2.0
// Engine THREAD: a thread of C that resolves the faults of one pager.
#ifndef UFFD_THREAD_H
#define UFFD_THREAD_H

struct uffd_pager;
struct uffd_thread;

int uffd_thread_start(struct uffd_pager *pager, struct uffd_thread **result);
void uffd_thread_stop(struct uffd_thread *thread);

#endif
