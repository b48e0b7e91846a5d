// SPDX-License-Identifier: Apache-2.0
// What a snapshot stands beside, in plain C and without the library: how long a program is held up that copies its memory, or forks.
//   bench_snapshots GIB          prints milliseconds of memcpy and of fork() at that resident size
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static char *map(size_t length)
{
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    memset(memory, 1, length);
    return memory;
}

// Copied a GiB at a time to the same place, which is there already: both copies of 8 GiB would not fit into this machine.
static double time_memcpy(const char *memory, size_t length)
{
    size_t piece = (size_t)1 << 30;
    char *to = map(piece);
    double start = milliseconds();
    for (size_t at = 0; at < length; at += piece)
        memcpy(to, memory + at, piece);
    double time = milliseconds() - start;
    munmap(to, piece);
    return time;
}

static double time_fork(void)
{
    double start = milliseconds();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    double time = milliseconds() - start;
    if (child < 0 || waitpid(child, NULL, 0) != child) {
        perror("fork");
        exit(1);
    }
    return time;
}

int main(int count, char **arguments)
{
    size_t length = (size_t)(count > 1 ? strtoul(arguments[1], NULL, 10) : 1) << 30;
    char *memory = map(length);
    double copied = time_memcpy(memory, length);
    printf("%.1f %.1f\n", copied, time_fork());
    return 0;
}
