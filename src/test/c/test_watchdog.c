// SPDX-License-Identifier: Apache-2.0
// The watchdog that ends a test run which hangs.
#include "test_faults.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t watchdog_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t watchdog_lock = PTHREAD_MUTEX_INITIALIZER;
static char watched[200];
static int64_t watch_until;     // in ms of the monotonic clock; 0: nothing is watched
static char restore_path[100];  // what to write where, when the run ends in this way
static char restore_value[20];

// Holds watchdog_lock. A JVM in a safepoint deadlock answers nothing but SIGKILL.
static void bite(void)
{
    // write(2) only: whatever else libc does may wait for a lock that somebody holds for ever.
    const char *parts[] = { "watchdog: ", watched, " did not end in its time, the test JVM is killed\n" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    }
    int fd = restore_path[0] ? open(restore_path, O_WRONLY) : -1;
    if (fd >= 0 && write(fd, restore_value, strlen(restore_value)) < 0)
        watched[0] = 0;  // nothing is left to be done about it
    kill(getpid(), SIGKILL);
}

static void *watchdog(void *ignored)
{
    for (;;) {
        struct timespec time = { .tv_nsec = 100000000 };
        nanosleep(&time, NULL);
        pthread_mutex_lock(&watchdog_lock);
        if (watch_until != 0 && test_now_ms() > watch_until)
            bite();
        pthread_mutex_unlock(&watchdog_lock);
    }
    return ignored;
}

static void start_watchdog(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, NULL, watchdog, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// Outside of the lock: the JVM may allocate here, and the watchdog has to work when nobody can.
static void keep(JNIEnv *env, jstring text, char *to, size_t size)
{
    to[0] = 0;
    const char *value = (*env)->GetStringUTFChars(env, text, NULL);
    if (value) {
        snprintf(to, size, "%s", value);
        (*env)->ReleaseStringUTFChars(env, text, value);
    }
}

// From now on `name` has so many seconds; 0: no limit any more.
TEST_NATIVE_OF(support_Watchdog, void, set, STATIC, jstring name, jint seconds)
{
    char text[sizeof watched];
    keep(env, name, text, sizeof text);
    pthread_once(&watchdog_once, start_watchdog);
    pthread_mutex_lock(&watchdog_lock);
    memcpy(watched, text, sizeof watched);
    watch_until = seconds == 0 ? 0 : test_now_ms() + (int64_t)seconds * 1000;
    pthread_mutex_unlock(&watchdog_lock);
}

// What the watchdog has to put back before it kills this process.
TEST_NATIVE_OF(support_Watchdog, void, setRestored, STATIC, jstring path, jstring value)
{
    char new_path[sizeof restore_path], new_value[sizeof restore_value];
    keep(env, path, new_path, sizeof new_path);
    keep(env, value, new_value, sizeof new_value);
    pthread_mutex_lock(&watchdog_lock);
    memcpy(restore_path, new_path, sizeof restore_path);
    memcpy(restore_value, new_value, sizeof restore_value);
    pthread_mutex_unlock(&watchdog_lock);
}
