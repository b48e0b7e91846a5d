// SPDX-License-Identifier: Apache-2.0
// The only file that knows processors: symbol versions old enough for every glibc, and the kernel's struct sigaction.
#ifndef UFFD_ARCH_H
#define UFFD_ARCH_H

#include <signal.h>

// glibc 2.34 moved libpthread into libc under new symbol versions; a library linked there would not load on older systems.
// The first version of each processor's port still works everywhere (musl ignores versions). See readelf -V, LibrarySymbolsTest.
#if defined(__GLIBC__) || defined(__GNU_LIBRARY__)
#if defined(__x86_64__)
#define UFFD_GLIBC_BASE "GLIBC_2.2.5"
#elif defined(__aarch64__) || defined(__powerpc64__)
#define UFFD_GLIBC_BASE "GLIBC_2.17"
#elif defined(__riscv)
#define UFFD_GLIBC_BASE "GLIBC_2.27"
#elif defined(__s390x__)
#define UFFD_GLIBC_BASE "GLIBC_2.2"
#elif defined(__arm__)
#define UFFD_GLIBC_BASE "GLIBC_2.4"
#endif
#endif
#ifdef UFFD_GLIBC_BASE
#define UFFD_OLD_SYMBOL(name) __asm__(".symver " #name "," #name "@" UFFD_GLIBC_BASE)
#else
#define UFFD_OLD_SYMBOL(name) _Static_assert(1, "no older version of " #name " to bind to")
#endif

// The structure of rt_sigaction(2) as the kernel reads it; libc's own differs, and libc's may be interposed by libjsig.
#if !defined(__mips__) && !defined(__alpha__) && !defined(__sparc__) && !defined(__hppa__)
#define UFFD_RAW_SIGACTION 1
struct uffd_kernel_sigaction {
    void *handler;
    unsigned long flags;
#if !defined(__riscv) && !defined(__loongarch__)
    void *restorer;
#endif
    unsigned long mask[8 / sizeof(unsigned long)];
};
#endif

// Whether a fault's page was there, by the error code that x86 leaves in a signal's context (bit 0); others do not tell.
#if defined(__x86_64__) && defined(REG_ERR)
#define UFFD_PAGE_WAS_PRESENT(context) ((int)(((ucontext_t *)(context))->uc_mcontext.gregs[REG_ERR] & 1))
#else
#define UFFD_PAGE_WAS_PRESENT(context) 0
#endif

#endif
