// SPDX-License-Identifier: Apache-2.0
/** Memory whose pages are filled when they are touched, by native code that no safepoint can stop. */
@NullMarked
package io.github.userfaultfd.paging;

import org.jspecify.annotations.NullMarked;
