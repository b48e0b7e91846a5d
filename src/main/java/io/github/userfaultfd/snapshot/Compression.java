// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.snapshot;

/** How the pages in a checkpoint file are packed. */
public enum Compression {
    /** Not at all: such files can be restored lazily. */
    NONE,
    /** Zstandard, by {@code com.github.luben:zstd-jni}, which has to be on the class path or module path. Restored as a whole. */
    ZSTD
}
