// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.support.ChildJvm;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The native library of these tests, {@code src/test/c/test_*.c}: raises faults from threads that the JVM does not know, so
 * that Java code of this JVM may handle them. Results are at least 0 or {@code -errno}.
 */
final class Faults {
    static final int PROT_NONE = 0;
    static final int PROT_READ = 1;
    static final int PROT_READ_WRITE = 3;
    static final int PROT_READ_WRITE_EXEC = 7;
    static final int MAP_SHARED = 1;
    static final int MAP_PRIVATE = 2;
    static final int MAP_FIXED = 0x10;
    static final int MAP_ANONYMOUS = 0x20;
    static final int MFD_CLOEXEC = 1;
    static final int MFD_HUGETLB = 4;
    static final int MADV_DONTNEED = 4;
    static final int MADV_REMOVE = 9;
    static final int MADV_DONTFORK = 10;
    static final int MADV_HUGEPAGE = 14;
    static final int MADV_NOHUGEPAGE = 15;
    static final int MADV_POPULATE_READ = 22;
    static final int MADV_COLLAPSE = 25;
    static final int MADV_HWPOISON = 100;
    static final int O_NONBLOCK = 0x800;
    static final int UFFD_USER_MODE_ONLY = 1;
    static final int CAP_SYS_PTRACE = 19;

    static {
        Path library = ChildJvm.testLibrary(); // child JVMs have no JUnit
        if (!Files.exists(library)) {
            throw new UnsatisfiedLinkError(library + " is missing: 'make test-native' builds it, 'make test' does both");
        }
        System.load(library.toString());
    }

    private Faults() {}

    // test_jobs.c

    static native long start(long[] program, boolean forked);

    static native int await(long job, long milliseconds);

    static native long result(long job, int step);

    static native int fact(long job, int what);

    static native void open(long job, int gate);

    static native int nudge(long job);

    static native void release(long job);

    static native int running();

    static native void giveUp();

    // test_memory.c

    static native long mmap(long address, long length, int protection, int flags, int fd);

    static native int munmap(long address, long length);

    static native int madvise(long address, long length, int advice);

    static native int mprotect(long address, long length, int protection);

    static native int mremap(long address, long length, long to);

    static native int memfd(long length, int flags);

    static native int truncate(int fd, long length);

    static native long pagemap(long address);

    static native void setMemory(long address, long length, int value);

    static native void copyMemory(long to, long from, long length);

    static native boolean sameMemory(long a, long b, long length);

    static native int ioctl(int fd, int type, int number, long[] argument);

    static native int readBytes(int fd, int bytes);

    /** {@return the next byte, -1 at the end} */
    static native int readByte(int fd);

    static native int openUserfaultfd(boolean byDevice, int flags);

    static native int openFile(String path, int flags);

    static native int pipe(int[] ends);

    static native int pin(long address, long length);

    static native int spawn(String[] command, int[] ends);

    static native int reap(int child, long milliseconds);

    // test_stress.c

    static native long stressNew(long first, long second, long length, int page);

    static native int stressRound(long handle, int to, int fd, int flags, long milliseconds, long deadline);

    static native long stressVerify(long handle, int area);

    static native long stressStat(long handle, int stat);

    static native void stressFree(long handle);

    // test_rights.c

    static native int dropCapability(int capability);

    static native int becomeUser(int id);

    static native int refuseSystemCall(int number, int errno);

    static native int userfaultfdNumber();

    /** {@return the result of a call that has to work} */
    static long ok(long result) {
        if (result < 0) {
            throw new AssertionError("a system call of the test failed with errno " + -result);
        }
        return result;
    }
}
