// SPDX-License-Identifier: Apache-2.0
/** A module that uses the library as any other. */
module com.example.consumer {
    requires io.github.userfaultfd;
}
