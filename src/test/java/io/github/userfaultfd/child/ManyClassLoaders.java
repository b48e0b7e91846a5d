// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import java.net.URL;
import java.net.URLClassLoader;

/** Runs {@link CloseWhileReading} in one class loader after the other, as a server does that is given a web application anew. */
public final class ManyClassLoaders {
    private ManyClassLoaders() {}

    /** The argument says how many. */
    public static void main(String[] arguments) throws Exception {
        URL[] urls = TwoClassLoaders.classPath();
        for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
            ClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
            loader.loadClass(CloseWhileReading.class.getName()).getMethod("main", String[].class).invoke(null, (Object) new String[0]);
        }
    }
}
