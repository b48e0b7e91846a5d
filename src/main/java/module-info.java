// SPDX-License-Identifier: Apache-2.0
/** userfaultfd(2) for Java: page faults, lazy paging, and off-heap memory that is aligned to pages. */
module io.github.userfaultfd {
    requires static com.fasterxml.jackson.core;
    requires static com.github.luben.zstd_jni;
    requires static java.net.http;
    requires static jdk.jfr;
    requires static org.jspecify;
    requires static org.lz4.java;
    requires static redis.clients.jedis;
    requires org.scijava.nativelib;

    exports io.github.userfaultfd;
    exports io.github.userfaultfd.memory;
    exports io.github.userfaultfd.paging;
    exports io.github.userfaultfd.remote;
    exports io.github.userfaultfd.snapshot;
}
