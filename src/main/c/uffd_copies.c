// SPDX-License-Identifier: Apache-2.0
#include "uffd_copies.h"

#include "uffd_arch.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

UFFD_OLD_SYMBOL(dladdr);

// No lock; any thread, not in a signal handler. Each class loader that loads this library has a copy of its own, which stays for good.
int uffd_is_another_copy(void *handler)
{
    Dl_info info;
    return handler != (void *)(uintptr_t)SIG_DFL && handler != (void *)(uintptr_t)SIG_IGN && dladdr(handler, &info) != 0
        && info.dli_fname && strstr(info.dli_fname, "libuserfaultfd_jni") != NULL;
}
