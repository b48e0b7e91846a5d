// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** Pages to be loaded before they are touched, in an order. Guarded by the monitor of {@link LoadQueue}. */
final class Prefetch {
    /** Pages of one mapping: from the first up to, but not with, the second. */
    record Run(PageStates states, int from, int to) {}

    final CompletableFuture<Void> result = new CompletableFuture<>();
    final Deque<Run> runs = new ArrayDeque<>();
    int underWay;
    @Nullable Throwable failure;

    /** {@return the next pages that are still wanted, marked busy; null if there are none left} Others' are awaited. */
    @Nullable LoadTask next(long runBytes, LoadQueue queue) {
        while (!runs.isEmpty()) {
            Run run = runs.poll();
            PageStates states = run.states;
            int most = (int) Math.max(1, runBytes / states.mapping.pageSize());
            int from = run.from;
            for (; from < run.to && !states.isWanted(from); from++) {
                if (states.busy.get(from)) {
                    await(queue.loading(states, from));
                }
            }
            int to = from;
            while (to < run.to && to - from < most && states.isWanted(to)) {
                to++;
            }
            if (to < run.to) {
                runs.addFirst(new Run(states, to, run.to));
            }
            if (to > from) {
                states.busy.set(from, to);
                LoadTask task = new LoadTask(states, from, to - from, this);
                await(task);
                return task;
            }
        }
        return null;
    }

    private void await(LoadTask task) {
        if (!task.awaiting.contains(this)) {
            task.awaiting.add(this);
            underWay++;
        }
    }

    boolean isDone() {
        return runs.isEmpty() && underWay == 0;
    }

    /** Tells who waits for it, on a thread of its own: whatever that does holds nothing up. On this one if there can be no other. */
    void complete() {
        try {
            result.defaultExecutor().execute(this::tell);
        } catch (OutOfMemoryError e) {
            tell();
        }
    }

    private void tell() {
        if (failure == null) {
            result.complete(null);
        } else {
            result.completeExceptionally(failure);
        }
    }
}
