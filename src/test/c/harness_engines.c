// SPDX-License-Identifier: Apache-2.0
// Both engines without a JVM, for the sanitizers: readers, regions that come and go, pages discarded, protected and prefetched
// meanwhile, signals in the middle of faults, and a source that is cut short. Every byte is checked. Exit 0 and a line a case; anything else is a failure.
#include "uffd_abi.h"
#include "uffd_crc32c.h"
#include "uffd_fill.h"
#include "uffd_memory.h"
#include "uffd_pager.h"
#include "uffd_sigbus.h"
#include "uffd_source.h"
#include "uffd_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGES = 512, READERS = 4 };

#define MUST(condition) must((condition) != 0, #condition, __LINE__)

static size_t page;
static uint64_t *content;  // what the source holds: each word tells its own place

static void must(int condition, const char *text, int line)
{
    if (!condition) {
        fprintf(stderr, "line %d: %s (errno %d)\n", line, text, errno);
        _exit(1);
    }
}

static uint64_t expected(size_t word)
{
    return word * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static int open_uffd(int engine)
{
    struct uffd_created created;
    int fd = uffd_create(UFFD_CLOSE_ON_EXEC | UFFD_NON_BLOCKING | UFFD_FAULTS_OF_USER_MODE, UFFD_OPEN_AUTO,
                         engine == UFFD_ENGINE_INLINE ? UFFD_FEATURE_SIGBUS : 0, 0, &created);
    MUST(fd >= 0);
    return fd;
}

struct region {
    struct uffd_memory memory;
    size_t length;
    int fd;
    struct uffd_source *source;
    struct uffd_pager *pager;
};

static void start(struct region *region, int engine, size_t around, int on_failure, struct uffd_source *source)
{
    region->fd = open_uffd(engine);
    region->source = source;
    struct uffd_pager_options options = {
        .fd = region->fd, .address = region->memory.address, .length = (int64_t)region->length, .page = (int64_t)page,
        .source = (int64_t)(intptr_t)source, .around = (int64_t)around, .engine = engine, .threads = 2,
        .on_failure = on_failure, .memory = region->memory.fd,
    };
    MUST(uffd_pager_start(&options, &region->pager) == 0);
}

static struct region region_of(int kind)
{
    struct region region = { .length = PAGES * page };
    MUST(uffd_memory_map(kind, region.length, page, &region.memory) == 0);
    return region;
}

static struct uffd_source *memory_source(void)
{
    struct uffd_source *source;
    MUST(uffd_source_memory((char *)content, PAGES * page, &source) == 0);
    return source;
}

static void end(struct region *region, int how)
{
    MUST((how ? uffd_pager_detach(region->pager) : uffd_pager_finish(region->pager)) == 0);
    close(region->fd);
    uffd_source_free(region->source);
}

static void give_up(struct region *region)
{
    uffd_pager_free(region->pager);
    uffd_memory_unmap((void *)(intptr_t)region->memory.address, region->length);
    if (region->memory.alias)
        uffd_memory_unmap((void *)(intptr_t)region->memory.alias, region->length);
    if (region->memory.fd >= 0)
        close((int)region->memory.fd);
}

struct reader {
    const struct region *region;
    unsigned seed;
    int rounds;
    pthread_t thread;
};

static void *read_randomly(void *argument)
{
    struct reader *self = argument;
    const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)self->region->memory.address;
    size_t count = self->region->length / sizeof *words;
    for (int i = 0; i < self->rounds; i++) {
        size_t word = (size_t)rand_r(&self->seed) * 31 % count;
        MUST(words[word] == expected(word));
    }
    return NULL;
}

// Signal handler, in the middle of a fault or not: reads the same memory.
static const struct region *interrupting;
static void on_interruption(int number)
{
    (void)number;
    int kept = errno;
    static _Atomic(size_t) next;
    size_t word = atomic_fetch_add(&next, 7919) % (interrupting->length / sizeof(uint64_t));
    MUST(((const volatile uint64_t *)(intptr_t)interrupting->memory.address)[word] == expected(word));
    errno = kept;
}

static void with_readers(const struct region *region, int rounds, void (*meanwhile)(const struct region *, int))
{
    struct reader readers[READERS];
    interrupting = region;
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ region, i + 1, rounds, 0 };
        MUST(pthread_create(&readers[i].thread, NULL, read_randomly, &readers[i]) == 0);
    }
    for (int i = 0; i < 40; i++) {
        meanwhile(region, i);
#ifndef __SANITIZE_THREAD__  // which blocks all signals in each handler, and a fault there would end the process
        for (int reader = 0; reader < READERS; reader++)
            pthread_kill(readers[reader].thread, SIGUSR1);
#endif
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
}

// Everything that may happen to a region that is being read: none of it may show a wrong byte.
static void disturb(const struct region *region, int i)
{
    char *base = (char *)(intptr_t)region->memory.address;
    size_t at = (size_t)(i * 37 % (PAGES - 64)) * page;
    MUST(madvise(base + at, 64 * page, MADV_DONTNEED) == 0);
    MUST(mprotect(base + at, 32 * page, PROT_READ) == 0);
    MUST(uffd_pager_fill(region->pager, at, 16 * page) == 0);
    MUST(mprotect(base + at, 32 * page, PROT_READ | PROT_WRITE) == 0);
    struct uffd_pager_stats stats;
    uffd_pager_stats(region->pager, &stats);
    MUST(stats.failed == 0);
    MUST(uffd_touch(base + at, 64 * page, page) == 0);
    sched_yield();
}

static void leave_alone(const struct region *region, int i)
{
    (void)region, (void)i;
}

static void storm(int engine, int kind, size_t around)
{
    struct region region = region_of(kind);
    start(&region, engine, around, UFFD_FAILURE_ABORT, memory_source());
    with_readers(&region, 4000, disturb);
    end(&region, 0);
    with_readers(&region, 100, leave_alone);
    give_up(&region);
}

// Closing by filling while readers read, and regions added and removed beside them.
static struct region closing;
static void *open_and_close(void *argument)
{
    int engine = *(int *)argument;
    for (int i = 0; i < 60; i++) {
        struct region other = region_of(UFFD_MEMORY_ANONYMOUS);
        start(&other, engine, page, UFFD_FAILURE_ABORT, memory_source());
        const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)other.memory.address;
        for (size_t word = (size_t)i; word < other.length / sizeof *words; word += 997)
            MUST(words[word] == expected(word));
        end(&other, i % 2);
        give_up(&other);
    }
    return NULL;
}

static void close_soon(const struct region *region, int i)
{
    (void)region;
    if (i == 5)
        MUST(uffd_pager_finish(closing.pager) == 0);
}

static void closing_under_readers(int engine)
{
    pthread_t beside;
    MUST(pthread_create(&beside, NULL, open_and_close, &engine) == 0);
    for (int i = 0; i < 25; i++) {
        closing = region_of(UFFD_MEMORY_ANONYMOUS);
        start(&closing, engine, page, UFFD_FAILURE_ABORT, memory_source());
        with_readers(&closing, 600, close_soon);
        close(closing.fd);
        uffd_source_free(closing.source);
        give_up(&closing);
    }
    pthread_join(beside, NULL);
}

// Paged from a file that has no name any more and is the caller's to change.
static struct region region_of_a_file(int engine, int *file)
{
    char name[] = "/tmp/userfaultfd-harness-XXXXXX";
    *file = mkstemp(name);
    MUST(*file >= 0 && write(*file, content, PAGES * page) == (ssize_t)(PAGES * page));
    struct uffd_source *source;
    MUST(uffd_source_file(name, 0, (int64_t)(PAGES * page), PAGES * page, &source) == 0);
    unlink(name);
    struct region region = region_of(UFFD_MEMORY_ANONYMOUS);
    start(&region, engine, page, UFFD_FAILURE_FILL, source);
    return region;
}

// What would touch all of a process's mappings does not make zeros of missing pages through the second mapping.
static void untouched_alias(int engine)
{
    struct region region = region_of(UFFD_MEMORY_SHARED);
    start(&region, engine, page, UFFD_FAILURE_ABORT, memory_source());
    const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)region.memory.address;
    const volatile char *alias = (const volatile char *)(intptr_t)region.memory.alias;
    MUST(syscall(SYS_mlock, region.memory.alias, region.length) < 0);  // sanitizers make the function do nothing
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(alias[3 * page]);
    }
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    for (size_t word = 0; word < PAGES * page / sizeof *words; word += page / sizeof *words)
        MUST(words[word] == expected(word));
    end(&region, 0);
    give_up(&region);
}

// Memory that mlockall(2) with MCL_FUTURE has locked is paged too.
static void locked_memory(int engine)
{
    struct region region = region_of(UFFD_MEMORY_ANONYMOUS);
    if (syscall(SYS_mlock, region.memory.address, region.length) < 0) {
        printf("not done, %zu bytes may not be locked: %s\n", region.length, strerror(errno));
    } else {
        start(&region, engine, page, UFFD_FAILURE_ABORT, memory_source());
        const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)region.memory.address;
        for (size_t word = 0; word < PAGES * page / sizeof *words; word += page / sizeof *words)
            MUST(words[word] == expected(word));
        end(&region, 0);
        uffd_pager_free(region.pager);
    }
    uffd_memory_unmap((void *)(intptr_t)region.memory.address, region.length);
}

static _Atomic(int) cut_file = -1;
static off_t cut_to;

// Instead of libc's. The next look at a file's size, which is before a copy, is the last that finds it whole.
off_t lseek(int fd, off_t offset, int whence)
{
    off_t result = (off_t)syscall(SYS_lseek, fd, offset, whence);
    int file = atomic_exchange(&cut_file, -1);
    if (file >= 0)
        MUST(ftruncate(file, cut_to) == 0);
    return result;
}

// A file that becomes shorter between the look at its size and the copy: who asked for the pages hears of it, and not only who asks
// what failed.
static void cut_while_copied(int engine)
{
    int file;
    struct region region = region_of_a_file(engine, &file);
    cut_to = (off_t)(5 * page + 1);
    atomic_store(&cut_file, file);
    MUST(uffd_pager_fill(region.pager, 2 * page, 4 * page) == -EFAULT);
    MUST(uffd_pager_next_failed(region.pager, 0) == (int64_t)(5 * page));
    MUST(uffd_pager_fill(region.pager, 5 * page, page) == -EFAULT);
    MUST(uffd_pager_fill(region.pager, 2 * page, 3 * page) == 0);
    const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)region.memory.address;
    for (size_t word = 2 * page / sizeof *words; word < 5 * page / sizeof *words; word++)
        MUST(words[word] == expected(word));
    MUST(pwrite(file, content, PAGES * page, 0) == (ssize_t)(PAGES * page));
    end(&region, 0);
    MUST(uffd_pager_next_failed(region.pager, 0) == (int64_t)(5 * page));
    give_up(&region);
    close(file);
}

// A file whose size cannot be told any more: that is the error, and not that it was cut short.
static void unknown_size(int engine)
{
    int file, ends[2];
    struct region region = region_of_a_file(engine, &file);
    MUST(uffd_pager_fill(region.pager, 0, page) == 0);
    MUST(pipe(ends) == 0 && dup2(ends[0], region.source->fd) >= 0);
    MUST(uffd_pager_fill(region.pager, 5 * page, page) == -ESPIPE);
    MUST(dup2(file, region.source->fd) >= 0);
    MUST(uffd_pager_fill(region.pager, 5 * page, page) == 0);
    end(&region, 0);
    give_up(&region);
    close(file);
    close(ends[0]);
    close(ends[1]);
}

// A file that becomes shorter under the pager: the policy FILL shows the pattern, keeps the failure, and heals what can be.
static void failing_source(int engine)
{
    int file;
    struct region region = region_of_a_file(engine, &file);
    const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)region.memory.address;
    size_t a_page = page / sizeof *words;
    MUST(words[0] == expected(0));
    MUST(ftruncate(file, (off_t)(10 * page)) == 0);
    MUST(words[20 * a_page + 3] == UINT64_C(0xFA17EDFA17EDFA17));
    MUST(uffd_pager_next_failed(region.pager, 0) == (int64_t)(20 * page));
    MUST(uffd_pager_next_failed(region.pager, 21 * page) == -ENOENT);
    MUST(uffd_pager_failed_errno(region.pager) == EFAULT);
    MUST(uffd_pager_fill(region.pager, 20 * page, page) == -EFAULT);
    MUST(uffd_pager_fill(region.pager, 0, 30 * page) == -EFAULT);
    MUST(pwrite(file, content, PAGES * page, 0) == (ssize_t)(PAGES * page));
    MUST(madvise((char *)(intptr_t)region.memory.address + 20 * page, page, MADV_DONTNEED) == 0);
    MUST(words[20 * a_page + 3] == expected(20 * a_page + 3));
    // Engine THREAD forgets the failure a moment after the page is there: until then it is reported though it is mended.
    for (int i = 0; i < 1000 && uffd_pager_next_failed(region.pager, 0) != -ENOENT; i++)
        usleep(1000);
    MUST(uffd_pager_next_failed(region.pager, 0) == -ENOENT);
    MUST(ftruncate(file, 0) == 0);
    end(&region, 0);
    MUST(words[100 * a_page] == UINT64_C(0xFA17EDFA17EDFA17));
    MUST(uffd_pager_next_failed(region.pager, 90 * page) == (int64_t)(90 * page));
    give_up(&region);
    close(file);
}

// Runs of 16 pages in two files: the second replaces every third page of the first.
static struct uffd_source *runs_source(const char *first, const char *second)
{
    enum { RUN = 16, RUNS = PAGES / RUN, SECOND = (PAGES + 2) / 3 };
    static struct uffd_run runs[RUNS + SECOND];
    static char names[256];
    for (size_t i = 0; i < RUNS; i++) {
        const char *bytes = (const char *)content + i * RUN * page;
        runs[i] = (struct uffd_run){ (int64_t)(i * RUN * page), (int64_t)(RUN * page), 0, (int64_t)(i * RUN * page),
                                     uffd_crc32c(bytes, RUN * page) };
    }
    for (size_t i = 0; i < SECOND; i++)
        runs[RUNS + i] = (struct uffd_run){ (int64_t)(3 * i * page), (int64_t)page, 1, (int64_t)(3 * i * page),
                                            uffd_crc32c((const char *)content + 3 * i * page, page) };
    int length = snprintf(names, sizeof names, "%s%c%s", first, 0, second);
    MUST(length > 0 && length < (int)sizeof names);
    struct uffd_run_options options = {
        .names = (intptr_t)names, .files = 2, .runs = (intptr_t)runs, .count = RUNS + SECOND,
        .length = (int64_t)(PAGES * page), .page = (int64_t)page,
    };
    struct uffd_source *source;
    MUST(uffd_source_runs(&options, &source) == 0);
    options.count = RUNS - 1;  // leaves pages out
    struct uffd_source *none;
    MUST(uffd_source_runs(&options, &none) == -EINVAL);
    return source;
}

// A source whose bytes are checked: under readers, and with a page that is not as it was.
static void checked_runs(int engine)
{
    char first[] = "/tmp/userfaultfd-harness-XXXXXX", second[] = "/tmp/userfaultfd-harness-XXXXXX";
    int files[2] = { mkstemp(first), mkstemp(second) };
    for (int i = 0; i < 2; i++)
        MUST(files[i] >= 0 && write(files[i], content, PAGES * page) == (ssize_t)(PAGES * page));
    uffd_crc32c_prepare();
    struct region region = region_of(UFFD_MEMORY_ANONYMOUS);
    start(&region, engine, 0, UFFD_FAILURE_FILL, runs_source(first, second));
    with_readers(&region, 20000, disturb);
    end(&region, 0);
    give_up(&region);

    region = region_of(UFFD_MEMORY_ANONYMOUS);
    start(&region, engine, 0, UFFD_FAILURE_FILL, runs_source(first, second));
    MUST(pwrite(files[0], "?", 1, (off_t)(20 * page)) == 1);
    const volatile uint64_t *words = (const volatile uint64_t *)(intptr_t)region.memory.address;
    size_t a_page = page / sizeof *words;
    MUST(words[22 * a_page] == UINT64_C(0xFA17EDFA17EDFA17));  // in the same run
    MUST(words[21 * a_page] == expected(21 * a_page));         // in the other file
    MUST(words[40 * a_page] == expected(40 * a_page));
    MUST(uffd_pager_fill(region.pager, 0, PAGES * page) == -EBADMSG);
    char place[300], where[300];
    MUST(uffd_source_place(region.source, -1, place, sizeof place) > 0);
    snprintf(where, sizeof where, "%s at offset %zu", first, 16 * page);
    MUST(strcmp(place, where) == 0);
    end(&region, 1);
    give_up(&region);
    for (int i = 0; i < 2; i++)
        close(files[i]);
    unlink(first);
    unlink(second);
}

// With the policy ABORT the process ends by SIGABRT and one line, never by a wrong byte.
static void aborting(int engine)
{
    int out[2];
    MUST(pipe(out) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        dup2(out[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        char name[] = "/tmp/userfaultfd-harness-XXXXXX";
        int file = mkstemp(name);
        struct uffd_source *source;
        if (ftruncate(file, (off_t)(PAGES * page)) < 0
            || uffd_source_file(name, 0, (int64_t)(PAGES * page), PAGES * page, &source) != 0)
            _exit(2);
        unlink(name);
        struct region region = region_of(UFFD_MEMORY_ANONYMOUS);
        start(&region, engine, page, UFFD_FAILURE_ABORT, source);
        if (ftruncate(file, 0) < 0)
            _exit(2);
        _exit(3 + *(volatile char *)(intptr_t)region.memory.address);
    }
    close(out[1]);
    char line[1000];
    size_t length = 0;
    for (ssize_t n; (n = read(out[0], line + length, sizeof line - 1 - length)) > 0;)
        length += (size_t)n;
    line[length] = 0;
    close(out[0]);
    int status;
    MUST(waitpid(child, &status, 0) == child);
    MUST(strncmp(line, "userfaultfd: the page at offset 0 ", 34) == 0);
    MUST(WIFSIGNALED(status) || WEXITSTATUS(status) != 3);
}

// The handler of SIGBUS that was there before the library's: it makes the file long enough for the access, and notes its mask.
static int grown;
static sigset_t mask_of_earlier;
static void on_earlier(int number, siginfo_t *info, void *context)
{
    (void)context;
    MUST(number == SIGBUS && info->si_code == BUS_ADRERR);
    MUST(sigprocmask(SIG_BLOCK, NULL, &mask_of_earlier) == 0);
    MUST(ftruncate(grown, (off_t)page) == 0);
}

static void on_earlier_without_information(int number)
{
    siginfo_t information = { .si_code = BUS_ADRERR };
    on_earlier(number, &information, NULL);
}

// A handler that came after the library's, and hands on to it.
#ifndef __SANITIZE_THREAD__  // whose sigaction() does not know of the library's
static sigset_t mask_in_later;
static struct sigaction of_library;
static void on_later(int number, siginfo_t *info, void *context)
{
    of_library.sa_sigaction(number, info, context);
    MUST(sigprocmask(SIG_BLOCK, NULL, &mask_in_later) == 0);
}
#endif

// A handler that was there before is called with the mask and the flags that it asked for, for as long as it runs.
static void handing_on(int flags)
{
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        struct sigaction earlier = { .sa_sigaction = on_earlier, .sa_flags = flags };
        if (!(flags & SA_SIGINFO))
            earlier.sa_handler = on_earlier_without_information;
        sigemptyset(&earlier.sa_mask);
        sigaddset(&earlier.sa_mask, SIGUSR2);
        MUST(sigaction(SIGBUS, &earlier, NULL) == 0);
        MUST(uffd_sigbus_install() == 0);
#ifndef __SANITIZE_THREAD__
        struct sigaction later = { .sa_sigaction = on_later, .sa_flags = SA_SIGINFO | SA_NODEFER };
        MUST(sigaction(SIGBUS, &later, &of_library) == 0);
        MUST(sigismember(&of_library.sa_mask, SIGUSR2) == 1);
#endif
        grown = memfd_create("grown", MFD_CLOEXEC);
        volatile char *byte = mmap(NULL, page, PROT_READ, MAP_SHARED, grown, 0);
        MUST(grown >= 0 && byte != MAP_FAILED);
        MUST(*byte == 0);
        MUST(sigismember(&mask_of_earlier, SIGUSR2) == 1);
#ifndef __SANITIZE_THREAD__
        MUST(sigismember(&mask_of_earlier, SIGUSR1) == 0);
        MUST(sigismember(&mask_of_earlier, SIGBUS) == !(flags & SA_NODEFER));
        MUST(sigismember(&mask_in_later, SIGUSR2) == 0 && sigismember(&mask_in_later, SIGBUS) == 0);
#endif
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void run(const char *name, int engine, void (*body)(int))
{
    printf("%s, engine %s\n", name, engine == UFFD_ENGINE_INLINE ? "INLINE" : "THREAD");
    fflush(stdout);
    body(engine);
}

static void storm_one_page(int engine) { storm(engine, UFFD_MEMORY_ANONYMOUS, page); }
static void storm_windows(int engine) { storm(engine, UFFD_MEMORY_ANONYMOUS, 16 * page); }
static void storm_growing(int engine) { storm(engine, UFFD_MEMORY_ANONYMOUS, 0); }
static void storm_shared(int engine) { storm(engine, UFFD_MEMORY_SHARED, 4 * page); }

int main(void)
{
    page = (size_t)getpagesize();
    content = malloc(PAGES * page);
    MUST(content);
    for (size_t word = 0; word < PAGES * page / sizeof *content; word++)
        content[word] = expected(word);
    puts("handing on");
    fflush(stdout);
    handing_on(SA_SIGINFO);
    handing_on(SA_SIGINFO | SA_NODEFER);
    handing_on(0);
    struct sigaction interruption = { .sa_handler = on_interruption, .sa_flags = SA_RESTART };
    MUST(sigaction(SIGUSR1, &interruption, NULL) == 0);
    for (int engine = UFFD_ENGINE_INLINE; engine <= UFFD_ENGINE_THREAD; engine++) {
        run("storm, one page a fault", engine, storm_one_page);
        run("storm, windows", engine, storm_windows);
        run("storm, growing windows", engine, storm_growing);
        run("storm, shared memory", engine, storm_shared);
        run("closing under readers", engine, closing_under_readers);
        run("second mapping", engine, untouched_alias);
        run("locked memory", engine, locked_memory);
        run("failing source", engine, failing_source);
        run("cut while it is copied", engine, cut_while_copied);
        run("unknown size", engine, unknown_size);
        run("checked runs", engine, checked_runs);
        run("aborting", engine, aborting);
    }
    free(content);
    puts("all cases passed");
    return 0;
}
