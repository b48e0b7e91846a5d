// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The same reading work on any memory of any size, in pieces that fit a byte buffer. */
final class Content {
    private static final int PIECE = 1 << 20;

    /** Memory by offset. */
    @FunctionalInterface
    interface Memory {
        ByteBuffer part(long offset, int length);
    }

    private final Memory memory;
    private final long size;

    Content(Memory memory, long size) {
        this.memory = memory;
        this.size = size;
    }

    long size() {
        return size;
    }

    ByteBuffer part(long offset, int length, ByteOrder order) {
        return memory.part(offset, length).order(order);
    }

    /** Reads every byte once; the sum keeps the compiler from leaving it out. */
    long sum(Progress progress) {
        long sum = 0;
        for (long at = 0; at < size; at += PIECE) {
            ByteBuffer piece = memory.part(at, (int) Math.min(PIECE, size - at));
            int longs = piece.remaining() / Long.BYTES;
            for (int i = 0; i < longs; i++) {
                sum += piece.getLong(i * Long.BYTES);
            }
            for (int i = longs * Long.BYTES; i < piece.limit(); i++) {
                sum += piece.get(i);
            }
            progress.at("reading it all", at, size);
        }
        return sum;
    }

    byte[] sha256(Progress progress) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (long at = 0; at < size; at += PIECE) {
                digest.update(memory.part(at, (int) Math.min(PIECE, size - at)));
                progress.at("SHA-256", at, size);
            }
            return digest.digest();
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
