// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.child;

import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.memory.PageSize;
import io.github.userfaultfd.paging.FailurePolicy;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/**
 * A program for child JVMs: one kind of access, warmed up until it is compiled, then made once to a page whose source failed
 * under the policy FILL, or to a buffer of a region that was closed. Says what came of it.
 */
final class BadPageAccess {
    private static final int PAGE = (int) PageSize.system().bytes();
    private static final int GOOD = 0;
    private static final int BAD = 8 * PAGE;
    private static final VarHandle LONGS = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

    /** An access to a page of a buffer; what it returns depends on each byte it saw. */
    interface Access {
        long to(ByteBuffer buffer, int at) throws Exception;
    }

    private BadPageAccess() {}

    static Map<String, Access> accesses() {
        Map<String, Access> all = new LinkedHashMap<>();
        all.put("get", (buffer, at) -> buffer.getLong(at));
        all.put("put", (buffer, at) -> {
            buffer.putLong(at + 8, 5);
            return buffer.getLong(at);
        });
        all.put("bulk get", (buffer, at) -> {
            byte[] bytes = new byte[PAGE];
            buffer.get(at, bytes);
            return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getLong(64);
        });
        all.put("bulk put", (buffer, at) -> {
            buffer.put(at + 64, new byte[64]);
            return buffer.getLong(at);
        });
        all.put("VarHandle getVolatile", (buffer, at) -> (long) LONGS.getVolatile(buffer, at));
        all.put("VarHandle compareAndExchange", (buffer, at) -> (long) LONGS.compareAndExchange(buffer, at, 1L, 1L));
        all.put("loop over longs", (buffer, at) -> {
            long seen = 0;
            for (int i = 0; i < PAGE; i += Long.BYTES) {
                seen |= buffer.getLong(at + i);
            }
            return seen;
        });
        all.put("slice and duplicate", (buffer, at) -> buffer.slice(at, PAGE).duplicate().order(ByteOrder.nativeOrder()).getLong(0));
        all.put("view buffer", (buffer, at) -> buffer.slice(at, PAGE).order(ByteOrder.nativeOrder()).asLongBuffer().get(3));
        all.put("equals", (buffer, at) -> buffer.slice(at, PAGE).equals(buffer.slice(at, PAGE)) ? buffer.getLong(at) : 0);
        all.put("compareTo", (buffer, at) -> buffer.slice(at, PAGE).compareTo(ByteBuffer.allocate(PAGE)) == 0 ? 0
                : buffer.getLong(at));
        all.put("mismatch", (buffer, at) -> buffer.slice(at, PAGE).mismatch(ByteBuffer.allocate(PAGE)) == 0
                ? buffer.getLong(at) : 0);
        all.put("CRC32", (buffer, at) -> {
            CRC32 crc = new CRC32();
            crc.update(buffer.slice(at, PAGE));
            return crc.getValue() != 0 ? buffer.getLong(at) : 0;
        });
        all.put("SHA-256", (buffer, at) -> {
            sha256(buffer.slice(at, PAGE));
            return buffer.getLong(at);
        });
        all.put("Deflater", (buffer, at) -> {
            Deflater deflater = new Deflater();
            deflater.setInput(buffer.slice(at, PAGE));
            deflater.finish();
            deflater.deflate(new byte[2 * PAGE]);
            deflater.end();
            return buffer.getLong(at);
        });
        all.put("FileChannel.write", (buffer, at) -> {
            Path file = Files.createTempFile("access", "");
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.write(buffer.slice(at, PAGE));
            } finally {
                Files.delete(file);
            }
            return buffer.getLong(at);
        });
        return all;
    }

    private static byte[] sha256(ByteBuffer buffer) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(buffer);
            return digest.digest();
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private static String outcome(Access access, ByteBuffer buffer, long pattern) {
        try {
            long seen = access.to(buffer, BAD);
            return seen == pattern ? "pattern" : "read " + Long.toHexString(seen);
        } catch (IllegalStateException e) {
            return "IllegalStateException";
        } catch (IOException | UncheckedIOException e) {
            return e.getMessage().contains("Bad address") ? "EFAULT" : e.toString();
        } catch (Exception e) {
            return e.toString();
        } catch (InternalError e) {
            return "InternalError";
        }
    }

    public static void main(String[] arguments) throws Exception {
        Access access = accesses().get(arguments[1]);
        Path file = Files.write(Files.createTempFile("bad-page", ""), new byte[16 * PAGE]);
        MemoryRegion region = MemoryRegion.anonymous(16L * PAGE);
        Pager pager = Pager.of(region, PageSource.file(file)).faultAround(PAGE).onFailure(FailurePolicy.FILL).start();
        ByteBuffer buffer = region.asByteBuffer(0, 16 * PAGE);
        int rounds = arguments[1].contains("Channel") || arguments[1].equals("Deflater") ? 100 : 20_000;
        buffer.get(GOOD); // there from now on, for the system calls too
        for (int i = 0; i < rounds; i++) {
            access.to(buffer, GOOD);
        }
        boolean failedSource = arguments[0].equals("failed source");
        if (failedSource) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(PAGE);
            }
        } else {
            region.close();
        }
        Files.delete(file);
        System.out.println(outcome(access, buffer, FailurePolicy.PATTERN));
        if (failedSource && !arguments[1].equals("FileChannel.write")) {
            try {
                pager.check();
                System.out.println("check saw nothing");
            } catch (IOException e) {
                System.out.println("check threw");
            }
        }
        System.out.flush();
        // Without the JVM's own shutdown: it may be damaged by what was tried here.
        Runtime.getRuntime().halt(0);
    }
}
