// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/**
 * Random look-ups in a file. The JDK's {@code lib/modules} is a jimage: a header, an index and the classes and resources of
 * all modules, so an entry is looked up through the index as the JVM does it. Of another file, 8 bytes somewhere are an entry.
 *
 * @see <a href="https://github.com/openjdk/jdk/blob/master/src/java.base/share/native/libjimage/imageFile.hpp">imageFile.hpp</a>
 */
final class Entries {
    private static final int MAGIC = 0xCAFEDADA;
    private static final int CLASS_MAGIC = 0xCAFEBABE;
    private static final int HEADER_BYTES = 28;
    private static final int ATTRIBUTE_END = 0;
    private static final int ATTRIBUTE_OFFSET = 5;
    private static final int ATTRIBUTE_COMPRESSED = 6;
    private static final int ATTRIBUTE_UNCOMPRESSED = 7;
    private static final int ATTRIBUTE_KINDS = 8;
    private static final int LONGEST_LOCATION = 80;

    private final Content content;
    private final ByteOrder order;
    private final boolean image;
    private int tableLength;
    private long offsetsAt;
    private long locationsAt;
    private long entriesAt;
    private int classes;

    Entries(Content content) {
        this.content = content;
        ByteBuffer start = content.part(0, (int) Math.min(HEADER_BYTES, content.size()), ByteOrder.BIG_ENDIAN);
        boolean whole = start.remaining() == HEADER_BYTES;
        boolean big = whole && start.getInt(0) == MAGIC;
        order = big ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        ByteBuffer header = start.order(order);
        image = whole && header.getInt(0) == MAGIC;
        if (image) {
            tableLength = header.getInt(16);
            offsetsAt = HEADER_BYTES + 4L * tableLength;
            locationsAt = offsetsAt + 4L * tableLength;
            entriesAt = locationsAt + header.getInt(20) + header.getInt(24);
        }
    }

    /** Looks one entry up and reads its first bytes. */
    int lookUp(SplittableRandom random) {
        if (!image) {
            int length = (int) Math.min(Long.BYTES, content.size());
            return content.part(random.nextLong(content.size() - length + 1), length, order).get(0);
        }
        long[] attributes = attributes(random.nextInt(tableLength));
        long at = entriesAt + attributes[ATTRIBUTE_OFFSET];
        if (attributes[ATTRIBUTE_COMPRESSED] != 0 || attributes[ATTRIBUTE_UNCOMPRESSED] < 4 || at + 4 > content.size()) {
            return 0;
        }
        int first = content.part(at, 4, ByteOrder.BIG_ENDIAN).getInt(0);
        if (first == CLASS_MAGIC) {
            classes++;
        }
        return first;
    }

    /** An entry's attributes: a byte with kind and size, then the value, most significant byte first. */
    private long[] attributes(int index) {
        int offset = content.part(offsetsAt + 4L * index, 4, order).getInt(0);
        long at = locationsAt + offset;
        ByteBuffer bytes = content.part(at, (int) Math.min(LONGEST_LOCATION, content.size() - at), order);
        long[] attributes = new long[ATTRIBUTE_KINDS];
        for (int i = 0; i < bytes.limit();) {
            int kind = (bytes.get(i) & 0xff) >>> 3;
            int size = (bytes.get(i++) & 7) + 1;
            if (kind == ATTRIBUTE_END) {
                break;
            }
            long value = 0;
            for (int j = 0; j < size; j++) {
                value = value << 8 | bytes.get(i++) & 0xff;
            }
            if (kind < ATTRIBUTE_KINDS) {
                attributes[kind] = value;
            }
        }
        return attributes;
    }

    String found() {
        return image ? classes + " of them classes" : "8 bytes each";
    }
}
