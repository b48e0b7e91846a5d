// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.Arrays;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A server that knows ranges of one resource, or answers wrongly, as its mode says. */
final class RangeServer implements AutoCloseable {
    private final byte[] content;
    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    volatile String mode = "good";
    /** How much of everything went out. */
    volatile long sent;

    RangeServer(byte[] content) throws IOException {
        this.content = content;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", this::answer);
        server.start();
    }

    URI uri() {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/memory");
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            String[] range = exchange.getRequestHeaders().getFirst("Range").replace("bytes=", "").split("-");
            int from = Integer.parseInt(range[0]);
            int to = Integer.parseInt(range[1]);
            String version = mode.contains("changed") ? "two" : "one";
            if (!mode.contains("undated")) {
                exchange.getResponseHeaders().set(mode.contains("untagged") ? "Last-Modified" : "ETag", version);
            }
            if (!mode.equals("unknown length")) {
                exchange.getResponseHeaders().set("Content-Range", switch (mode) {
                    case "negative length" -> "bytes " + from + "-" + to + "/-5";
                    case "no length" -> "bytes " + from + "-" + to + "/*";
                    case "empty" -> "bytes " + from + "-" + to + "/0";
                    case "longer untagged undated" -> "bytes " + from + "-" + to + "/" + (content.length + 1);
                    case "elsewhere" -> "bytes " + (from + 1) + "-" + (to + 1) + "/" + content.length;
                    default -> "bytes " + from + "-" + to + "/" + content.length;
                });
            }
            byte[] part = Arrays.copyOfRange(content, from, mode.equals("short") ? to : to + 1);
            if (mode.equals("silent")) {
                sleep();
            }
            if (mode.equals("everything")) {
                everything(exchange);
                return;
            }
            exchange.sendResponseHeaders(mode.equals("whole") ? 200 : mode.equals("gone") ? 404 : 206, part.length);
            if (mode.equals("stalled")) {
                exchange.getResponseBody().write(part, 0, part.length / 2);
                exchange.getResponseBody().flush();
                sleep();
            }
            exchange.getResponseBody().write(part);
        }
    }

    /** As a server that does not know ranges; more than fits into the heap of any JVM. */
    private void everything(HttpExchange exchange) throws IOException {
        exchange.sendResponseHeaders(200, Long.MAX_VALUE);
        byte[] some = new byte[1 << 16];
        for (;;) {
            exchange.getResponseBody().write(some);
            sent += some.length;
        }
    }

    private static void sleep() {
        try {
            Thread.sleep(Long.MAX_VALUE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
