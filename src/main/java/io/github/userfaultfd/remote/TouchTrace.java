// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.Ranges;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;

/**
 * Which pages were touched first, in order, with those that were loaded around them: recorded in one run ({@link
 * ServedProcess#trace}), loaded ahead in the next
 * ({@link ServedProcess#prefetch(TouchTrace)}). All methods can be called from any thread.
 *
 * <p>As a file: a line {@code userfaultfd-trace 1}, then a line for each run of pages, its offset and its length in bytes,
 * decimal, with a blank between.
 */
public final class TouchTrace {
    private static final String HEADER = "userfaultfd-trace 1";
    private static final int FIRST_ROOM = 64;

    private long[] runs = new long[FIRST_ROOM];
    private int used;

    /** Makes an empty one. */
    public TouchTrace() {}

    /**
     * Adds a run; one that goes on where the last one ended makes that longer.
     *
     * @param offset in bytes from the beginning of what is served
     * @param length in bytes
     * @return this trace
     */
    public synchronized TouchTrace add(long offset, long length) {
        Ranges.checkLength("add", "offset", offset, length);
        if (used > 0 && runs[used - 2] + runs[used - 1] == offset) {
            runs[used - 1] += length;
            return this;
        }
        if (used == runs.length) {
            runs = Arrays.copyOf(runs, used * 2);
        }
        runs[used++] = offset;
        runs[used++] = length;
        return this;
    }

    /** {@return how many runs there are} */
    public synchronized int size() {
        return used / 2;
    }

    /** {@return how many bytes the runs have together} */
    public synchronized long bytes() {
        long bytes = 0;
        for (int i = 1; i < used; i += 2) {
            bytes += runs[i];
        }
        return bytes;
    }

    /** Offset and length of each run, one behind the other. */
    synchronized long[] runs() {
        return Arrays.copyOf(runs, used);
    }

    /**
     * Writes a file, under another name first: a reader finds all or nothing.
     *
     * @param file to be replaced
     * @throws IOException if it cannot be written
     */
    public void write(Path file) throws IOException {
        Path partial = file.resolveSibling(file.getFileName() + ".part");
        long[] now = runs();
        try (BufferedWriter out = Files.newBufferedWriter(partial)) {
            out.write(HEADER + "\n");
            for (int i = 0; i < now.length; i += 2) {
                out.write(now[i] + " " + now[i + 1] + "\n");
            }
        }
        Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }

    /**
     * Reads a file.
     *
     * @param file that {@link #write} wrote
     * @return what it says
     * @throws IOException if it cannot be read or is not such a file; the message names the line
     */
    public static TouchTrace read(Path file) throws IOException {
        TouchTrace trace = new TouchTrace();
        try (BufferedReader in = Files.newBufferedReader(file)) {
            if (!HEADER.equals(in.readLine())) {
                throw new IOException(file + " is not a trace: its first line is not '" + HEADER + "'");
            }
            int number = 1;
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                number++;
                String[] fields = line.split(" ");
                try {
                    if (fields.length != 2) {
                        throw new IllegalArgumentException("it has not two numbers");
                    }
                    trace.add(Long.parseLong(fields[0]), Long.parseLong(fields[1]));
                } catch (IllegalArgumentException e) {
                    throw new IOException(file + " is not a trace: line " + number + ": " + e.getMessage(), e);
                }
            }
        }
        return trace;
    }

    @Override
    public String toString() {
        return "TouchTrace[" + size() + " runs, " + bytes() + " bytes]";
    }
}
