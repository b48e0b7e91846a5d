// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

/** Placeholder. */
public final class PagerProcess {
    private PagerProcess() {}
}
