// SPDX-License-Identifier: Apache-2.0
/** The commands of {@code java -jar userfaultfd.jar}. Not exported. */
package io.github.userfaultfd.cli;
