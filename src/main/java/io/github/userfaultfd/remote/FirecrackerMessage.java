// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.async.ByteArrayFeeder;
import io.github.userfaultfd.internal.Ranges;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The one message that Firecracker sends: a bare JSON array with an object for each region of the guest's memory. It has no
 * length and no end mark, so it is parsed while it comes, and ends with its last bracket. Fields by version: 1.1 to 1.6
 * {@code base_host_virt_addr}, {@code size} and {@code offset}; 1.7 to 1.11 also {@code page_size_kib}, which is in bytes in
 * spite of its name; from 1.12 on also {@code page_size}, in bytes. Other fields are let pass.
 *
 * @see <a href="https://github.com/firecracker-microvm/firecracker/tree/main/docs/snapshotting">
 *     Firecracker, "Handling page faults on snapshot resume"</a>
 */
final class FirecrackerMessage {
    private static final int LONGEST = 1 << 20;
    private static final int DEEPEST = 16;
    private static final int LONGEST_NUMBER = 20;
    private static final int MOST_REGIONS = 4096;
    private static final int PIECE = 64 * 1024;

    private final JsonParser parser;
    private final List<RemoteMapping> mappings = new ArrayList<>();
    private final Map<String, Long> region = new HashMap<>();
    private int depth;
    private boolean complete;

    FirecrackerMessage() throws IOException {
        StreamReadConstraints limits = StreamReadConstraints.builder().maxDocumentLength(LONGEST).maxNestingDepth(DEEPEST)
                .maxNumberLength(LONGEST_NUMBER).build();
        parser = JsonFactory.builder().streamReadConstraints(limits).enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .build()
                .createNonBlockingByteArrayParser();
    }

    /**
     * Receives and checks the message.
     *
     * @param descriptors gets those that come with the message's first bytes
     * @param contentSize how much content there is: no region may want more
     * @throws IOException naming what is wrong with it
     */
    static List<RemoteMapping> receive(UffdSocket socket, ReceivedDescriptors descriptors, long contentSize)
            throws IOException {
        FirecrackerMessage message = new FirecrackerMessage();
        ByteBuffer piece = ByteBuffer.allocate(PIECE);
        try (ReceivedDescriptors none = new ReceivedDescriptors(0)) {
            for (boolean first = true; !message.complete; first = false) {
                if (socket.receive(piece.clear(), first ? descriptors : none) < 0) {
                    throw new EOFException(first ? "the connection was closed without a message"
                            : "the connection was closed in the middle of the message");
                }
                message.parse(piece.array(), piece.position());
            }
        }
        return message.checked(contentSize);
    }

    private void parse(byte[] bytes, int length) throws IOException {
        ((ByteArrayFeeder) parser.getNonBlockingInputFeeder()).feedInput(bytes, 0, length);
        for (JsonToken token = parser.nextToken(); token != JsonToken.NOT_AVAILABLE; token = parser.nextToken()) {
            if (complete) {
                throw new IOException("the message goes on behind its array");
            }
            token(token);
        }
    }

    private void token(JsonToken token) throws IOException {
        if (depth == 0 && token != JsonToken.START_ARRAY) {
            throw new IOException("the message is not an array of regions but begins with " + token.asString());
        }
        if (depth == 1 && token != JsonToken.START_OBJECT && token != JsonToken.END_ARRAY) {
            throw new IOException("region " + mappings.size() + " is not an object");
        }
        if (token.isStructStart()) {
            depth++;
        } else if (token.isStructEnd()) {
            depth--;
            if (depth == 0) {
                complete = true;
            } else if (depth == 1) {
                add();
            }
        } else if (depth == 2 && token.isScalarValue()) {
            value(parser.currentName(), token);
        }
    }

    private void value(String name, JsonToken token) throws IOException {
        switch (name) {
            case "base_host_virt_addr", "size", "offset", "page_size", "page_size_kib" -> {
                if (token != JsonToken.VALUE_NUMBER_INT) {
                    throw new IOException("region " + mappings.size() + ": " + name + " is not an integer");
                }
                BigInteger number = parser.getBigIntegerValue();
                if (number.signum() < 0 || number.bitLength() >= Long.SIZE) {
                    throw new IOException("region " + mappings.size() + ": " + name + " is " + number);
                }
                region.put(name, number.longValue());
            }
            default -> {
                // Of a version to come.
            }
        }
    }

    private void add() throws IOException {
        long address = required("base_host_virt_addr");
        long size = required("size");
        long offset = required("offset");
        if (mappings.size() == MOST_REGIONS) {
            throw new IOException("more than " + MOST_REGIONS + " regions");
        }
        long page = region.getOrDefault("page_size", region.getOrDefault("page_size_kib", Ranges.PAGE));
        try {
            mappings.add(new RemoteMapping(address, size, offset, page));
        } catch (IllegalArgumentException e) {
            throw new IOException("region " + mappings.size() + ": " + e.getMessage(), e);
        }
        region.clear();
    }

    private long required(String name) throws IOException {
        Long value = region.get(name);
        if (value == null) {
            throw new IOException("region " + mappings.size() + " has no " + name);
        }
        return value;
    }

    private List<RemoteMapping> checked(long contentSize) throws IOException {
        if (mappings.isEmpty()) {
            throw new IOException("the message has no region");
        }
        for (RemoteMapping each : mappings) {
            if (each.offset() + each.length() < 0 || each.offset() + each.length() > contentSize) {
                throw new IOException(each + " reaches beyond the end of the memory file, which has " + contentSize + " bytes");
            }
        }
        return mappings;
    }
}
