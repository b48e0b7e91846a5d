// SPDX-License-Identifier: Apache-2.0
/** Page-aligned off-heap memory, as userfaultfd needs it and as Java does not offer it. */
@NullMarked
package io.github.userfaultfd.memory;

import org.jspecify.annotations.NullMarked;
