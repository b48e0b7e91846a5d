// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import java.io.IOException;

/** Closes a userfaultfd while a thread waits in read(2) of it: nothing but a signal ends that call. */
public final class CloseWhileReading {
    private CloseWhileReading() {}

    private static boolean isReading(Thread thread) {
        StackTraceElement[] frames = thread.getStackTrace();
        return frames.length > 0 && frames[0].isNativeMethod() && frames[0].getMethodName().equals("readEvents");
    }

    public static void main(String[] arguments) throws Exception {
        Uffd uffd = new UffdBuilder().create();
        String[] end = new String[1];
        Thread reader = new Thread(() -> {
            try {
                end[0] = "read " + uffd.readEvent();
            } catch (IOException e) {
                end[0] = e.toString();
            }
        });
        reader.start();
        while (!isReading(reader) && reader.isAlive()) {
            Thread.onSpinWait();
        }
        uffd.close();
        reader.join();
        System.out.println(end[0]);
    }
}
