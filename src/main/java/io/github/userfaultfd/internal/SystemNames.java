// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;

/** Names of files and words of command lines as the kernel has them: in the encoding of the locale, as for the JDK itself. */
public final class SystemNames {
    private static final Charset ENCODING = Charset.forName(System.getProperty("sun.jnu.encoding"));

    private SystemNames() {}

    /**
     * {@return the bytes of a name}
     *
     * @throws IllegalArgumentException if the encoding of the locale has not all of its characters: it would be another name
     */
    public static byte[] bytes(String name) {
        try {
            ByteBuffer bytes = ENCODING.newEncoder().encode(CharBuffer.wrap(name));
            byte[] result = new byte[bytes.remaining()];
            bytes.get(result);
            return result;
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("'" + name + "' cannot be written in " + ENCODING
                    + ", the encoding of this process's locale (LC_ALL, LC_CTYPE or LANG)", e);
        }
    }

    /** {@return the name that bytes are} */
    public static String text(ByteBuffer bytes) {
        return ENCODING.decode(bytes).toString();
    }

    /** Like {@link #bytes}, ended by a zero byte. */
    public static byte[] ended(String name) {
        return bytes(name + "\0");
    }
}
