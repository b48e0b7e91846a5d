// SPDX-License-Identifier: Apache-2.0
/** Knowing which pages of a region were written. */
package io.github.userfaultfd.snapshot;
