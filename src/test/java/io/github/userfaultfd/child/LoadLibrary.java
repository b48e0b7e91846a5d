// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.internal.NativeLibrary;
import io.github.userfaultfd.support.Trees;
import java.nio.file.Files;
import java.nio.file.Path;

/** Loads the library, tells how that went and what it left in the directory that the first argument names. */
public final class LoadLibrary {
    private static final int FAILED = 3;

    private LoadLibrary() {}

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[0]);
        int exit = 0;
        try (Uffd uffd = new UffdBuilder().closeOnExec(true).create()) {
            System.out.println("works: " + (uffd.fd() >= 0) + ", from " + NativeLibrary.loadedFrom());
        } catch (UnsatisfiedLinkError e) {
            System.out.println(e.getMessage());
            System.out.println("cause: " + e.getCause());
            exit = FAILED;
        }
        System.out.println("left: " + (Files.isDirectory(directory) ? Trees.names(directory) : "no directory"));
        if (arguments.length > 1) {
            System.out.println("ready");
            System.in.read();
        }
        System.exit(exit);
    }
}
