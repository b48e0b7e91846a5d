// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.OpenMethod;
import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.UffdBuilder;
import io.github.userfaultfd.UffdException;

/** Opens a userfaultfd in the way that the arguments name (user mode only or not, and the method) and says how that went. */
public final class OpenUffd {
    private OpenUffd() {}

    public static void main(String[] arguments) {
        UffdBuilder builder = new UffdBuilder().closeOnExec(true)
                .userModeOnly(Boolean.parseBoolean(arguments[0])).openMethod(OpenMethod.valueOf(arguments[1]));
        try (Uffd uffd = builder.create()) {
            System.out.println("opened: " + (uffd.fd() >= 0));
        } catch (UffdException e) {
            System.out.println("errno " + e.errno() + ": " + e.getMessage());
        }
        SystemSupport.probe().attempts().forEach(System.out::println);
    }
}
