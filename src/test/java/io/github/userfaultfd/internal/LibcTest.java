// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.userfaultfd.support.ChildJvm;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The library in programs that are no JVM, of one libc and the other. */
class LibcTest {
    private static final Duration DEADLINE = Duration.ofSeconds(30);

    @Test
    void loadsIntoAProgramOfThisLibc() throws Exception {
        Path program = program("dlopen_library");
        assertTrue(Files.isExecutable(program), () -> program + " is not there; 'make test' builds it");
        assertLoads(program);
    }

    @Test
    void loadsIntoAProgramOfMusl() throws Exception {
        Path program = program("dlopen_library_musl");
        assumeTrue(Files.isExecutable(program), "a compiler for musl was not there when the test's programs were built (musl-tools)");
        assertTrue(Files.readString(program, StandardCharsets.ISO_8859_1).contains("/ld-musl-"), "the program is one of musl");
        assertLoads(program);
    }

    private static Path program(String name) {
        return ChildJvm.root().resolve("target/test-native").resolve(name);
    }

    private static void assertLoads(Path program) throws Exception {
        Path library = ChildJvm.classes().resolve(
                NativeLibrary.resourceName(System.getProperty("os.name"), System.getProperty("os.arch")));
        String output = ChildJvm.run(DEADLINE, List.of(program.toString(), library.toString())).assertExit(0).output();
        assertEquals("page size " + Native.pageSize() + ", as the system's: yes\n", output);
    }
}
