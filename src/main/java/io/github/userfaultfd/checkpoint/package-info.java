// SPDX-License-Identifier: Apache-2.0
/** The files of checkpoints, which {@code snapshot} writes and {@code paging} reads too. Not exported. */
package io.github.userfaultfd.checkpoint;
