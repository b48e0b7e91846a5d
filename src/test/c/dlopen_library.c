// SPDX-License-Identifier: Apache-2.0
// dlopen_library LIBRARY
// Loads the JNI library as a JVM would and calls one of its methods, so that any libc can be asked whether it has all that the
// library needs. getpagesize(2) needs neither a JVM nor its environment.

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: dlopen_library LIBRARY\n");
        return 2;
    }
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "dlopen_library: %s\n", dlerror());
        return 1;
    }
    int (*page_size)(void *, void *);
    // POSIX wants this detour, because ISO C does not convert object pointers to function pointers.
    *(void **)&page_size = dlsym(library, "Java_io_github_userfaultfd_internal_Native_pageSize");
    if (!page_size) {
        fprintf(stderr, "dlopen_library: %s\n", dlerror());
        return 1;
    }
    int found = page_size(NULL, NULL);
    printf("page size %d, as the system's: %s\n", found, found == getpagesize() ? "yes" : "no");
    return found == getpagesize() ? 0 : 1;
}
