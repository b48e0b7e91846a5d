// SPDX-License-Identifier: Apache-2.0
// The only file that knows processors: symbol versions old enough for every glibc, the kernel's struct sigaction, and the
// instruction for checksums.
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

// The instruction that does a step of CRC-32C, where a processor of this kind can have it.
#if defined(__x86_64__)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define UFFD_CRC32C_INSTRUCTION 1

// No lock; any thread and signal handlers.
static inline int uffd_has_crc32c_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

// No lock; any thread and signal handlers, where there is the instruction. Eight bytes a step.
__attribute__((target("sse4.2")))
static inline uint32_t uffd_crc32c_by_instruction(uint32_t crc, const unsigned char *at, size_t length)
{
    uint64_t wide = crc;
    for (; length >= sizeof wide; length -= sizeof wide, at += sizeof wide) {
        uint64_t next;
        memcpy(&next, at, sizeof next);
        wide = __builtin_ia32_crc32di(wide, next);
    }
    crc = (uint32_t)wide;
    for (; length > 0; length--, at++)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#define UFFD_CRC32C_INSTRUCTION 1

// No lock; any thread and signal handlers.
static inline int uffd_has_crc32c_instruction(void)
{
    return (getauxval(AT_HWCAP) >> 7 & 1) != 0;  // HWCAP_CRC32
}

// No lock; any thread and signal handlers, where there is the instruction. Eight bytes a step.
__attribute__((target("+crc")))
static inline uint32_t uffd_crc32c_by_instruction(uint32_t crc, const unsigned char *at, size_t length)
{
    for (; length >= sizeof(uint64_t); length -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t next;
        memcpy(&next, at, sizeof next);
        crc = __crc32cd(crc, next);
    }
    for (; length > 0; length--, at++)
        crc = __crc32cb(crc, *at);
    return crc;
}
#endif

#endif
