// SPDX-License-Identifier: Apache-2.0
// Plays Firecracker's side of a restore: guest memory in two regions, a userfaultfd for it, one message to the handler, then
// virtual processors that touch every page and a balloon that gives pages back. Exit code 0 if each byte was right.
//
//   fake_firecracker SOCKET VERSION PAGE_SIZE PAGES [pieces] [extra] [fork] [half] [late]
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, BALLOON_EVERY = 5, BALLOON_AT = 3, FILE_HOLE = 1 };

static size_t page_size;
static size_t pages;  // of each region
static char *regions[2];
static int wrong;

static void fail(const char *what)
{
    fprintf(stderr, "fake_firecracker: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int has(int argc, char **argv, const char *option)
{
    for (int i = 5; i < argc; i++) {
        if (strcmp(argv[i], option) == 0)
            return 1;
    }
    return 0;
}

// The memory file has each eight bytes tell where they are; the second region's content begins a page behind the first's.
static uint64_t word(uint64_t offset)
{
    return offset * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

static uint64_t offset_of(int region)
{
    return region == 0 ? 0 : (pages + FILE_HOLE) * page_size;
}

static void expect(int region, size_t page, int zero)
{
    const volatile uint64_t *at = (const volatile uint64_t *)(regions[region] + page * page_size);
    uint64_t base = offset_of(region) + page * page_size;
    size_t step = page_size > 4096 ? 509 : 1;
    for (size_t i = 0; i < page_size / 8; i += step) {
        uint64_t found = at[i];
        uint64_t expected = zero ? 0 : word(base + i * 8);
        if (found != expected) {
            if (!__atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST))
                fprintf(stderr, "region %d page %zu word %zu: %llx, not %llx\n", region, page, i,
                        (unsigned long long)found, (unsigned long long)expected);
            return;
        }
    }
}

static void *processor(void *argument)
{
    size_t number = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < 2 * pages; i++) {
        size_t at = (i * 7 + number * pages / 2) % (2 * pages);
        if (at % pages % BALLOON_EVERY != BALLOON_AT)
            expect((int)(at / pages), at % pages, 0);
    }
    return NULL;
}

static void *balloon(void *unused)
{
    (void)unused;
    for (size_t page = BALLOON_AT; page < pages; page += BALLOON_EVERY) {
        for (int region = 0; region < 2; region++) {
            if (page % 2 == 0)
                expect(region, page, 0);
            if (madvise(regions[region] + page * page_size, page_size, MADV_DONTNEED) < 0)
                fail("madvise");
            expect(region, page, 1);
        }
    }
    return NULL;
}

static void send_all(const char *path, const char *text, size_t piece, const int *fds, size_t count)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    size_t length = strlen(text);
    for (size_t done = 0; done < length;) {
        char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
        struct iovec part = { (void *)(uintptr_t)(text + done), length - done < piece ? length - done : piece };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        if (done == 0 && count > 0) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(count * sizeof(int));
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_len = CMSG_LEN(count * sizeof(int));
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            memcpy(CMSG_DATA(header), fds, count * sizeof(int));
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            fail("sendmsg");
        done += (size_t)sent;
        if (piece < length)
            nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
    }
    close(fd);
}

static void describe(char *text, size_t room, int version, int extra)
{
    size_t used = 0;
    text[used++] = '[';
    for (int i = 0; i < 2; i++) {
        char more[200] = "";
        if (version >= 7)
            snprintf(more, sizeof more, ",\"page_size_kib\":%zu", page_size);
        if (version >= 12)
            snprintf(more, sizeof more, ",\"page_size\":%zu,\"page_size_kib\":%zu", page_size, page_size);
        used += (size_t)snprintf(text + used, room - used, "%s{\"base_host_virt_addr\":%llu,\"size\":%zu,\"offset\":%llu%s%s}",
                                 i ? "," : "", (unsigned long long)(uintptr_t)regions[i], pages * page_size,
                                 (unsigned long long)offset_of(i), more,
                                 extra ? ",\"new\":{\"size\":[1,{\"offset\":\"x\"}]},\"name\":\"d\\u00e9j\\u00e0 ]\"" : "");
    }
    snprintf(text + used, room - used, "]");
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int version = atoi(argv[2]);
    page_size = (size_t)atoll(argv[3]);
    pages = (size_t)atoll(argv[4]);
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (uffd < 0)
        fail("userfaultfd");
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };
    if (has(argc, argv, "fork"))
        api.features |= UFFD_FEATURE_EVENT_FORK;
    if (ioctl(uffd, UFFDIO_API, &api) < 0)
        fail("UFFDIO_API");
    for (int i = 0; i < 2; i++) {
        int huge = page_size > 4096 ? MAP_HUGETLB | 21 << 26 : 0;
        regions[i] = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | huge, -1, 0);
        if (regions[i] == MAP_FAILED)
            fail("mmap");
        struct uffdio_register range = { .range = { (uintptr_t)regions[i], pages * page_size },
                                         .mode = UFFDIO_REGISTER_MODE_MISSING };
        if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
            fail("UFFDIO_REGISTER");
    }
    char text[2000];
    describe(text, sizeof text, version, has(argc, argv, "extra"));
    int memfd = (int)syscall(SYS_memfd_create, "guest", 1U);
    int fds[2] = { uffd, memfd };
    send_all(argv[1], text, has(argc, argv, "pieces") ? 3 : sizeof text, fds, has(argc, argv, "extra") ? 2 : 1);

    if (has(argc, argv, "half")) {  // waits to be ended with pages missing
        expect(0, 0, 0);
        puts("half");
        fflush(stdout);
        pause();
    }
    if (has(argc, argv, "late"))  // has other things to do first
        nanosleep(&(struct timespec){ 1, 0 }, NULL);
    pthread_t threads[THREADS + 1];
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, processor, (void *)(uintptr_t)i);
    pthread_create(&threads[THREADS], NULL, balloon, NULL);
    if (has(argc, argv, "fork")) {
        pid_t child = fork();
        if (child == 0) {
            for (size_t page = 0; page < pages; page++) {
                if (page % BALLOON_EVERY != BALLOON_AT)
                    expect(1, page, 0);
            }
            _exit(wrong ? 1 : 0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            wrong++;
    }
    for (size_t i = 0; i <= THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t page = 0; page < pages; page++) {
        for (int region = 0; region < 2; region++)
            expect(region, page, page % BALLOON_EVERY == BALLOON_AT);
    }
    printf("%s\n", wrong ? "wrong" : "right");
    return wrong ? 1 : 0;
}
