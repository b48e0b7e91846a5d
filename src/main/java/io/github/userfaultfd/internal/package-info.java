// SPDX-License-Identifier: Apache-2.0
/** What the packages above share: the native methods, the kernel's numbers, the loading of the library. Not exported. */
package io.github.userfaultfd.internal;
