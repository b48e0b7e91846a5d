// SPDX-License-Identifier: Apache-2.0
/** The module of the drop-in jar: as the other one, but what that requires is inside, under names of its own. */
module io.github.userfaultfd {
    requires static jdk.jfr;

    exports io.github.userfaultfd;
    exports io.github.userfaultfd.memory;
    exports io.github.userfaultfd.paging;
}
