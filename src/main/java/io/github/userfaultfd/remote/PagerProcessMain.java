// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.Uffd;
import io.github.userfaultfd.internal.Abi;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/** The child of a {@link PagerProcess}. Serves until its parent closes the socket or dies. */
final class PagerProcessMain {
    private static final int FIRST_OF_LOADER = 9;

    /** The exit code of a child that cannot serve any more; another one takes its place. */
    private static final int BROKEN = 70;

    private static final int FAILED = 1;

    private PagerProcessMain() {}

    /** Started by {@link PagerProcessBuilder#command}. */
    public static void main(String[] arguments) {
        int exit = FAILED;
        try {
            serve(arguments);
            exit = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        } finally {
            // Not an orderly end, which would give up pages that the parent has not touched yet, and which a thread of the loader's can
            // keep from coming.
            Runtime.getRuntime().halt(exit);
        }
    }

    private static void serve(String[] arguments) throws Exception {
        long parent = Long.parseLong(arguments[0]);
        RemoteMapping mapping = new RemoteMapping(Long.parseLong(arguments[1]), Long.parseLong(arguments[2]), 0,
                Long.parseLong(arguments[3]));
        PageLoader loader = loader(arguments[FIRST_OF_LOADER - 1], Arrays.copyOfRange(arguments, FIRST_OF_LOADER,
                arguments.length));
        try (UffdSocket control = new UffdSocket(Abi.CHILD_CONTROL, "the parent's socket");
                ReceivedDescriptors none = new ReceivedDescriptors(0)) {
            RemotePager pager = RemotePager.of(loader).workers(Integer.parseInt(arguments[4]))
                    .faultAround(Long.parseLong(arguments[5]))
                    .onFailure(LoadFailurePolicy.valueOf(arguments[6])).loadTimeout(Duration.parse(arguments[7]))
                    .failureListener(failure -> tell(control, Abi.CHILD_FAILED, failure.offset(), failure.cause().toString()))
                    .whenBroken(e -> Runtime.getRuntime().halt(BROKEN)).start();
            ServedProcess served = pager.serve(Uffd.adopt(Abi.CHILD_UFFD), parent, List.of(mapping));
            tell(control, Abi.CHILD_READY, 0, "");
            loadAhead(served, control, none);
        }
    }

    /** As the parent tells, until it closes the socket. */
    private static void loadAhead(ServedProcess served, UffdSocket control, ReceivedDescriptors none) {
        ByteBuffer runs = ByteBuffer.allocate(Abi.AHEAD_BYTES).order(ByteOrder.nativeOrder());
        while (isTold(control, runs.clear(), none)) {
            for (runs.flip(); runs.hasRemaining();) {
                served.prefetch(runs.getLong(), runs.getLong());
            }
        }
    }

    /** {@return false if the parent has closed the socket, or died: with something unread in it that is an error} */
    private static boolean isTold(UffdSocket control, ByteBuffer runs, ReceivedDescriptors none) {
        try {
            return control.receive(runs, none) >= 0;
        } catch (IOException e) {
            ServedProcess.LOG.log(System.Logger.Level.DEBUG, "the parent's socket", e);
            return false;
        }
    }

    private static PageLoader loader(String name, String[] arguments) throws ReflectiveOperationException {
        Class<? extends PageLoader> type = Class.forName(name).asSubclass(PageLoader.class);
        for (Constructor<?> each : type.getDeclaredConstructors()) {
            if (Arrays.equals(each.getParameterTypes(), new Class<?>[] {String[].class})) {
                each.setAccessible(true);
                return type.cast(each.newInstance((Object) arguments));
            }
        }
        if (arguments.length > 0) {
            throw new NoSuchMethodException(name + " has no constructor of one String[], and there are arguments");
        }
        Constructor<? extends PageLoader> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    private static synchronized void tell(UffdSocket control, int kind, long offset, String text) {
        ByteBuffer entry = ByteBuffer.allocate(Abi.RECORD_BYTES).order(ByteOrder.nativeOrder());
        entry.put(0, (byte) kind).putLong(8, offset);
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        entry.position(Abi.RECORD_TEXT).put(bytes, 0, Math.min(bytes.length, Abi.RECORD_BYTES - Abi.RECORD_TEXT - 1));
        try {
            control.send(entry.clear());
        } catch (IOException e) {
            ServedProcess.LOG.log(System.Logger.Level.WARNING, "cannot tell the parent: " + e.getMessage());
        }
    }
}
