// SPDX-License-Identifier: Apache-2.0
/**
 * The kernel's userfaultfd(2), one to one: {@link io.github.userfaultfd.UffdBuilder} opens a descriptor,
 * {@link io.github.userfaultfd.Uffd} has a method for each ioctl, {@link io.github.userfaultfd.Event} is what it reports.
 *
 * <p>Nothing is added to what the kernel does, and nothing is hidden: a refusal is a
 * {@link io.github.userfaultfd.UffdException} with the kernel's error number, a partial result says how much was done. To
 * have the faults of this JVM's own Java code resolved, use the package {@code paging}; see the safepoint rule in
 * {@link io.github.userfaultfd.Uffd}.
 *
 * <p>Linux only. Each ioctl's method names it, {@link io.github.userfaultfd.Ioctl} and
 * {@link io.github.userfaultfd.Feature} the version of Linux that brought it; what the running kernel
 * has is probed, see {@link io.github.userfaultfd.SystemSupport}.
 */
@NullMarked
package io.github.userfaultfd;

import org.jspecify.annotations.NullMarked;
