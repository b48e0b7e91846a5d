// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Errno;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.function.Executable;

/** What the kernel refuses, and threads that have fewer rights than the process. */
final class Refused {
    private Refused() {}

    /** The call fails with this errno, and the message names it. */
    static UffdException with(int errno, Executable call) {
        return withOneOf(Set.of(errno), call);
    }

    /** The call fails with one of these, which differ between kernels, and the message names it. */
    static UffdException withOneOf(Set<Integer> errnos, Executable call) {
        UffdException refused = assertThrows(UffdException.class, call);
        assertTrue(errnos.contains(refused.errno()), refused::getMessage);
        assertTrue(refused.getMessage().contains(Errno.name(refused.errno())), refused::getMessage);
        return refused;
    }

    /** Runs something in a thread that is thrown away afterwards, with whatever rights it gave up. */
    static <T> T inThreadOfItsOwn(Callable<T> action) throws Exception {
        FutureTask<T> task = new FutureTask<>(action);
        Thread thread = new Thread(task, "with fewer rights");
        thread.start();
        thread.join();
        return task.get();
    }
}
