// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.bench;

import java.util.Locale;

/** What a fault is resolved in. */
public enum Memory {
    /** Private memory, UFFDIO_COPY. */
    ANONYMOUS,
    /** A memfd, UFFDIO_COPY. */
    SHARED,
    /** A memfd with the pages already in the page cache: UFFDIO_CONTINUE maps them. Engines of Java only. */
    CONTINUE,
    /** Private huge pages, UFFDIO_COPY. */
    HUGE;

    String inC() {
        return name().toLowerCase(Locale.ROOT);
    }
}
