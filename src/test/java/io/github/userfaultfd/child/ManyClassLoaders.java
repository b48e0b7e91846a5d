// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import java.lang.ref.WeakReference;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jdk.jfr.Recording;

/** Runs a program in one class loader after the other, as a server does that is given a web application anew. */
public final class ManyClassLoaders {
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(30);

    private ManyClassLoaders() {}

    /** The arguments say how many, whether the flight recorder runs, and the program with its own; tells how many are left. */
    public static void main(String[] arguments) throws Exception {
        if (!Boolean.parseBoolean(arguments[1])) {
            run(arguments);
            return;
        }
        try (Recording recording = new Recording()) {
            recording.start();
            run(arguments);
            recording.stop();
        }
    }

    private static void run(String[] arguments) throws Exception {
        List<WeakReference<ClassLoader>> loaders = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
            loaders.add(new WeakReference<>(load(arguments[2], Arrays.copyOfRange(arguments, 3, arguments.length))));
        }
        long end = System.nanoTime() + PATIENCE;
        while (left(loaders) > 0 && System.nanoTime() < end) {
            System.gc();
            Thread.sleep(20);
        }
        System.out.println("class loaders left: " + left(loaders));
    }

    private static long left(List<WeakReference<ClassLoader>> loaders) {
        return loaders.stream().filter(each -> each.get() != null).count();
    }

    private static ClassLoader load(String program, String... arguments) throws Exception {
        ClassLoader loader = new URLClassLoader(TwoClassLoaders.classPath(), ClassLoader.getPlatformClassLoader());
        loader.loadClass(program).getMethod("main", String[].class).invoke(null, (Object) arguments);
        return loader;
    }
}
