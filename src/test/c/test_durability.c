// SPDX-License-Identifier: Apache-2.0
// Loaded with LD_PRELOAD into a child JVM: notes in the file TEST_JOURNAL, a line each, what has been made durable, renamed and
// deleted, in its order. A regular file's size tells whether it was written to in between.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fsync(int fd);
__attribute__((visibility("default"))) int rename(const char *from, const char *to);
__attribute__((visibility("default"))) int unlink(const char *path);

// No lock; any thread. A line that cannot be noted is one that the test misses.
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    int error = errno;
    const char *path = getenv("TEST_JOURNAL");
    int journal = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (journal >= 0) {
        va_list arguments;
        va_start(arguments, format);
        vdprintf(journal, format, arguments);
        va_end(arguments);
        close(journal);
    }
    errno = error;
}

// No lock; any thread.
static long long size_of(int known, const struct stat *status)
{
    return known == 0 && S_ISREG(status->st_mode) ? (long long)status->st_size : 0;
}

// No lock; any thread.
static int sync_by(const char *call, int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, call);
    int result = next(fd);
    if (result == 0) {
        char link[40], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path);
        struct stat status;
        int known = fstat(fd, &status);
        note("%s %.*s of %lld\n", call, length < 0 ? 0 : (int)length, path, size_of(known, &status));
    }
    return result;
}

int fdatasync(int fd)
{
    return sync_by("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_by("fsync", fd);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *);
    *(void **)&next = dlsym(RTLD_NEXT, "rename");
    int result = next(from, to);
    if (result == 0) {
        struct stat status;
        int known = stat(to, &status);
        note("rename %s to %s of %lld\n", from, to, size_of(known, &status));
    }
    return result;
}

int unlink(const char *path)
{
    int (*next)(const char *);
    *(void **)&next = dlsym(RTLD_NEXT, "unlink");
    int result = next(path);
    if (result == 0)
        note("unlink %s\n", path);
    return result;
}
