// SPDX-License-Identifier: Apache-2.0
/** Knowing which pages of a region were written, and images of a region at one instant while it is written. */
@NullMarked
package io.github.userfaultfd.snapshot;

import org.jspecify.annotations.NullMarked;
