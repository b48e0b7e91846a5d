// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import java.nio.ByteBuffer;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** In child JVMs, because a JVM has its encoding for good. */
class SystemNamesTest {
    /** The name of a street, which ASCII has not. */
    static final class Street {
        public static void main(String[] arguments) {
            try {
                byte[] name = SystemNames.ended("Stra\u00dfe");
                System.out.println(name.length + " bytes, " + SystemNames.text(ByteBuffer.wrap(name)).equals("Stra\u00dfe\0"));
            } catch (IllegalArgumentException e) {
                System.out.println(e.getMessage().replaceAll("[^ -~]", "?"));
            }
        }
    }

    private static String in(String locale) throws Exception {
        return new ChildJvm().startedBy("env", "LC_ALL=" + locale).run(Duration.ofSeconds(30), Street.class).assertExit(0).output();
    }

    @Test
    void namesAreInTheEncodingOfTheLocale() throws Exception {
        assertEquals("8 bytes, true\n", in("C.UTF-8"));
        String refused = in("C");
        assertTrue(refused.contains("cannot be written in US-ASCII, the encoding of this process's locale"), refused);
        assertArrayEquals(new byte[] {'a', 0}, SystemNames.ended("a"));
    }
}
