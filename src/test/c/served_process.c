// SPDX-License-Identifier: Apache-2.0
// The process that the tests of package remote serve: sends its userfaultfd, and changes its memory in a way that an argument
// names. Says "ready" when the service may begin. Exit code 0 if each byte was right.
//
//   served_process SOCKET WHAT PAGES
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// What the threads touch. Page THERE is in place before the service begins.
enum { TOUCHED = 0, THERE = 1, REMOVED = 5, LOADED = 3, FAULTS = 200 };

static size_t page;
static size_t pages;
static char *memory;
static int uffd;
static int wrong;

static void fail(const char *what)
{
    fprintf(stderr, "served_process: %s: %s\n", what, strerror(errno));
    exit(2);
}

static char *at(size_t number)
{
    return memory + number * page;
}

static void say(const char *what)
{
    puts(what);
    fflush(stdout);
}

// Content has each eight bytes tell where they belong, and anything else is one value all over.
static void expect(const char *where, int is_content, uint64_t offset_or_value)
{
    for (size_t i = 0; i < page; i += 8) {
        uint64_t found = *(const volatile uint64_t *)(where + i);
        uint64_t expected = is_content ? (offset_or_value + i) * UINT64_C(0x9E3779B97F4A7C15) | 1 : offset_or_value;
        if (found != expected) {
            if (!wrong++)
                fprintf(stderr, "at %p: %llx, not %llx\n", (const void *)(where + i), (unsigned long long)found,
                        (unsigned long long)expected);
            return;
        }
    }
}

static void expect_content(size_t number)
{
    expect(at(number), 1, number * page);
}

static pthread_t start(void *(*body)(void *))
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, body, NULL);
    if (errno)
        fail("pthread_create");
    return thread;
}

static void *touch(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)*(volatile char *)at(TOUCHED);
}

static void *write_to(void *unused)
{
    (void)unused;
    *(volatile uint64_t *)at(TOUCHED) = 77;
    return NULL;
}

static void *give_back(void *unused)
{
    (void)unused;
    if (madvise(at(REMOVED), page, MADV_DONTNEED) < 0)
        fail("madvise");
    return NULL;
}

static int zeropage(size_t number)
{
    struct uffdio_zeropage range = { .range = { (uintptr_t)at(number), page } };
    return ioctl(uffd, UFFDIO_ZEROPAGE, &range) < 0 ? errno : 0;
}

// Gives a page back; returns when nothing can be put in place until somebody reads of it.
static pthread_t start_giving_back(void)
{
    pthread_t thread = start(give_back);
    while (zeropage(THERE) != EAGAIN)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    return thread;
}

// Faults of a kind, more than are read at once, and a page being given back, before anybody reads.
static void both_at_once(void *(*body)(void *))
{
    pthread_t threads[FAULTS + 1];
    for (int i = 0; i < FAULTS; i++)
        threads[i] = start(body);
    nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
    threads[FAULTS] = start_giving_back();
    say("ready");
    for (int i = 0; i <= FAULTS; i++)
        pthread_join(threads[i], NULL);
    expect(at(REMOVED), 0, 0);
    expect_content(LOADED);
}

static void protected(void)
{
    struct uffdio_writeprotect range = { .range = { (uintptr_t)at(TOUCHED), page }, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
    if (zeropage(TOUCHED) || ioctl(uffd, UFFDIO_WRITEPROTECT, &range) < 0)
        fail("UFFDIO_WRITEPROTECT");
    both_at_once(write_to);
    if (*(uint64_t *)at(TOUCHED) != 77)
        wrong++;
}

static void minor(int memfd)
{
    uint64_t content = 99;
    if (pwrite(memfd, &content, sizeof content, TOUCHED * (off_t)page) != sizeof content)
        fail("pwrite");
    both_at_once(touch);
    if (*(uint64_t *)at(TOUCHED) != content)
        wrong++;
}

// The page that is touched fails; asked for, a page is being given back at that moment.
static void fails(void)
{
    say("ready");
    pthread_t first = start(touch);
    if (getchar() < 0)
        fail("stdin");
    pthread_t second = start_giving_back();
    say("gives back");
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    expect(at(TOUCHED), 0, UINT64_C(0xFA17EDFA17EDFA17));
    expect(at(REMOVED), 0, 0);
}

// More holes than this process may have mappings.
static void holes(void)
{
    say("ready");
    for (size_t i = 1; i < pages; i += 2) {
        if (madvise(at(i), page, MADV_DONTNEED) < 0)
            fail("madvise");
    }
    for (size_t i = 1; i < pages; i += 2)
        expect(at(i), 0, 0);
    say("touched");
    if (getchar() < 0)
        fail("stdin");
    for (size_t i = 0; i < pages; i++)
        i % 2 ? expect(at(i), 0, 0) : expect_content(i);
    // Not registered any more.
    if (madvise(at(0), pages * page, MADV_DONTNEED) < 0)
        fail("madvise");
    for (size_t i = 0; i < pages; i++)
        expect(at(i), 0, 0);
}

// All of it, which its descriptor does not report.
static void unmaps(void)
{
    say("ready");
    if (munmap(memory, pages * page) < 0)
        fail("munmap");
    say("unmapped");
    if (getchar() < 0)
        fail("stdin");
}

static void waits(void)
{
    say("ready");
    if (getchar() < 0)
        fail("stdin");
    for (size_t i = THERE + 1; i < pages; i++)
        expect_content(i);
}

// Another program, which has none of this memory and goes on when it is told to.
static void execs(void)
{
    say("ready");
    execlp("sh", "sh", "-c", "echo another program; head -c 1 >/dev/null; echo right", (char *)NULL);
    fail("execlp");
}

static char *move(size_t first, size_t count, size_t grown, char *to)
{
    if (mremap(at(first), count * page, grown * page, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
        fail("mremap");
    return to;
}

static void expect_contents(const char *where, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect(where + i * page, 1, (first + i) * page);
}

// Away and back, into the middle of what is served, and away while growing.
static void moves(void)
{
    char *elsewhere = mmap(NULL, 30 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (elsewhere == MAP_FAILED)
        fail("mmap");
    say("ready");
    expect_content(12);
    move(10, 10, 10, elsewhere);
    expect_contents(elsewhere, 10, 5);
    expect_content(50);
    if (mremap(elsewhere, 10 * page, 10 * page, MREMAP_MAYMOVE | MREMAP_FIXED, at(10)) == MAP_FAILED)
        fail("mremap");
    expect_contents(at(10), 10, 10);
    expect_content(9);
    expect_contents(at(20), 20, 3);
    move(23, 5, 5, at(40));
    expect_contents(at(40), 23, 5);
    expect_contents(at(36), 36, 4);
    expect_contents(at(45), 45, 4);
    move(60, 5, 10, elsewhere);
    for (size_t i = 5; i < 10; i++)
        expect(elsewhere + i * page, 0, 0);
    expect_contents(elsewhere, 60, 5);
    expect_contents(at(65), 65, pages - 65);
}

// What had moved shrinks and grows again in its place, and something smaller that grows comes over it: what is new reads as zeros.
static void shrinks(void)
{
    char *elsewhere = mmap(NULL, 30 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (elsewhere == MAP_FAILED)
        fail("mmap");
    say("ready");
    move(10, 10, 10, elsewhere);
    if (mremap(elsewhere, 10 * page, 4 * page, 0) == MAP_FAILED || mremap(elsewhere, 4 * page, 10 * page, 0) == MAP_FAILED)
        fail("mremap");
    for (size_t i = 4; i < 10; i++)
        expect(elsewhere + i * page, 0, 0);
    expect_contents(elsewhere, 10, 4);
    char *second = move(30, 10, 10, elsewhere + 20 * page);
    move(40, 5, 10, second);
    for (size_t i = 5; i < 10; i++)
        expect(second + i * page, 0, 0);
    expect_contents(second, 40, 5);
    if (munmap(second, 5 * page) < 0)
        fail("munmap");
    say("unmapped");
    if (getchar() < 0)
        fail("stdin");
}

static char *elsewhere_of_a_page;

static void *touch_what_leaves(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)*(volatile char *)at(10);
}

static void *leave(void *unused)
{
    (void)unused;
    move(10, 1, 1, elsewhere_of_a_page);
    return NULL;
}

static void *take(void *unused)
{
    (void)unused;
    move(11, 1, 1, at(10));
    return NULL;
}

// A page leaves, and the next one takes its place, before anybody reads of either.
static void takes(void)
{
    elsewhere_of_a_page = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (elsewhere_of_a_page == MAP_FAILED)
        fail("mmap");
    pthread_t first = start(leave);
    while (msync(at(10), page, MS_ASYNC) == 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
    pthread_t second = start(take);
    while (msync(at(11), page, MS_ASYNC) == 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
    say("ready");
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    expect_contents(elsewhere_of_a_page, 10, 1);
    expect_contents(at(10), 11, 1);
}

// A page leaves while a thread waits for it, and something else takes its place, before anybody reads of either.
static void is_late(void)
{
    elsewhere_of_a_page = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (elsewhere_of_a_page == MAP_FAILED)
        fail("mmap");
    pthread_t first = start(touch_what_leaves);
    nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
    pthread_t second = start(leave);
    while (msync(at(10), page, MS_ASYNC) == 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    if (mmap(at(10), page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        fail("mmap");
    say("ready");
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    expect(at(10), 0, 0);
    expect_contents(elsewhere_of_a_page, 10, 1);
}

static void open_userfaultfd(uint64_t features)
{
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);  // UFFD_USER_MODE_ONLY, since 5.11
    if (uffd < 0)
        uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = { .api = UFFD_API, .features = features };
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
        fail("userfaultfd");
}

static void send_descriptor(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t where = (uintptr_t)memory;
    struct iovec part = { &where, sizeof where };
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(sizeof(int));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), &uffd, sizeof uffd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        fail("send");
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const char *what = argv[2];
    int is_protected = strcmp(what, "protected") == 0;
    int is_minor = strcmp(what, "minor") == 0;
    page = (size_t)sysconf(_SC_PAGESIZE);
    pages = (size_t)atoll(argv[3]);
    int memfd = (int)syscall(SYS_memfd_create, "served", 1U);
    if (memfd < 0 || ftruncate(memfd, (off_t)(pages * page)) < 0)
        fail("memfd");
    memory = is_minor ? mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0)
        : mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    open_userfaultfd(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_REMAP
                     | (strcmp(what, "takes") == 0 || strcmp(what, "shrinks") == 0 ? UFFD_FEATURE_EVENT_UNMAP : 0));
    struct uffdio_register range = { .range = { (uintptr_t)memory, pages * page }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    range.mode |= is_protected ? UFFDIO_REGISTER_MODE_WP : is_minor ? 4 : 0;  // UFFDIO_REGISTER_MODE_MINOR, since 5.13
    if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
        fail("UFFDIO_REGISTER");
    if (zeropage(THERE))
        fail("UFFDIO_ZEROPAGE");
    send_descriptor(argv[1]);
    if (is_protected)
        protected();
    else if (is_minor)
        minor(memfd);
    else if (strcmp(what, "fails") == 0)
        fails();
    else if (strcmp(what, "holes") == 0)
        holes();
    else if (strcmp(what, "moves") == 0)
        moves();
    else if (strcmp(what, "unmaps") == 0)
        unmaps();
    else if (strcmp(what, "waits") == 0)
        waits();
    else if (strcmp(what, "execs") == 0)
        execs();
    else if (strcmp(what, "takes") == 0)
        takes();
    else if (strcmp(what, "shrinks") == 0)
        shrinks();
    else if (strcmp(what, "is_late") == 0)
        is_late();
    else
        return 2;
    say(wrong ? "wrong" : "right");
    return wrong ? 1 : 0;
}
