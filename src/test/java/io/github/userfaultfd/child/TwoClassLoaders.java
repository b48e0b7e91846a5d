// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Runs {@link PagesFile} in two class loaders at the same time, as two web applications with the jar in each of them do. */
public final class TwoClassLoaders {
    private static final int LOADERS = 2;
    /** The second round finds both copies of the library loaded. */
    private static final int ROUNDS = 2;

    private TwoClassLoaders() {}

    static URL[] classPath() throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        for (String each : System.getProperty("java.class.path").split(File.pathSeparator)) {
            urls.add(new File(each).toURI().toURL());
        }
        return urls.toArray(new URL[0]);
    }

    public static void main(String[] arguments) throws Exception {
        URL[] urls = classPath();
        CyclicBarrier together = new CyclicBarrier(LOADERS);
        ExecutorService threads = Executors.newFixedThreadPool(LOADERS);
        List<Future<Class<?>>> runs = new ArrayList<>();
        for (int i = 0; i < LOADERS; i++) {
            runs.add(threads.submit(() -> {
                URLClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
                Class<?> main = loader.loadClass(PagesFile.class.getName());
                for (int round = 0; round < ROUNDS; round++) {
                    together.await();
                    try {
                        main.getMethod("main", String[].class).invoke(null, (Object) arguments);
                    } catch (InvocationTargetException e) {
                        System.out.println("failed: " + e.getCause());
                    }
                }
                return main;
            }));
        }
        threads.shutdown();
        System.out.println("different classes: " + (runs.get(0).get() != runs.get(1).get()));
    }
}
