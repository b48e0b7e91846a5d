// SPDX-License-Identifier: Apache-2.0
/**
 * The faults of other processes, resolved by Java code: of a microVM that is restored, or of this JVM by a JVM of its own
 * (whose Java code may resolve them, because it is not the one that faults). What is passed between them are descriptors, over
 * Unix-domain sockets.
 */
@NullMarked
package io.github.userfaultfd.remote;

import org.jspecify.annotations.NullMarked;
