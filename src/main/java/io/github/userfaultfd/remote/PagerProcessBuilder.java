// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.remote;

import io.github.userfaultfd.internal.NativeLibrary;
import io.github.userfaultfd.internal.RegionOwner;
import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** The options of a {@link PagerProcess}; {@link PagerProcess#of} makes it. For one thread. */
public final class PagerProcessBuilder {
    private static final int FOREIGN_MEMORY_API = 22;

    final RegionOwner owner;
    final Class<? extends PageLoader> loader;
    int restarts = 5;
    long startTimeout = SocketDescriptor.nanos(Duration.ofSeconds(30));
    LoadFailurePolicy failurePolicy = LoadFailurePolicy.END;
    private final List<String> arguments;
    private final List<String> jvmOptions = new ArrayList<>();
    private String classPath = System.getProperty("java.class.path");
    private Duration loadTimeout = Duration.ofSeconds(30);
    private int workers = 4;
    private long around;

    PagerProcessBuilder(RegionOwner owner, Class<? extends PageLoader> loader, String[] arguments) {
        this.owner = owner;
        this.loader = Objects.requireNonNull(loader, "loader");
        this.arguments = List.of(arguments);
        around = owner.pageSize();
        if (Modifier.isAbstract(loader.getModifiers()) || loader.isAnonymousClass() || loader.isLocalClass()
                || loader.isHidden()) {
            throw new IllegalArgumentException("the child makes an object of " + loader.getName()
                    + ": that has to be a class with a name, and neither abstract nor local");
        }
    }

    /**
     * Options of the child JVM, behind those it has anyway: {@code -Xmx256m}, the serial collector, the first compiler only.
     *
     * @param options such as {@code -Xmx1g}
     * @return this builder
     */
    public PagerProcessBuilder jvmOptions(String... options) {
        jvmOptions.addAll(List.of(options));
        return this;
    }

    /**
     * The child's class path; this JVM's unless set.
     *
     * @param path as after {@code -cp}
     * @return this builder
     */
    public PagerProcessBuilder classPath(String path) {
        classPath = Objects.requireNonNull(path, "path");
        return this;
    }

    /**
     * How many threads load at once. 4 unless set.
     *
     * @param count at least 1
     * @return this builder
     */
    public PagerProcessBuilder workers(int count) {
        RemotePager.of((offset, page) -> { }).workers(count);
        workers = count;
        return this;
    }

    /**
     * How much is loaded for one fault, see {@link RemotePagerBuilder#faultAround}. One page unless set.
     *
     * @param bytes a power of two
     * @return this builder
     */
    public PagerProcessBuilder faultAround(long bytes) {
        RemotePager.of((offset, page) -> { }).faultAround(bytes);
        around = bytes;
        return this;
    }

    /**
     * How many new children are started within a minute, and how many in a row, a fifth of a second apart, that do not come to
     * serve. 5 unless set; when that is not enough, every missing page has failed.
     *
     * @param most none or more
     * @return this builder
     */
    public PagerProcessBuilder restarts(int most) {
        if (most < 0) {
            throw new IllegalArgumentException("restarts: " + most + " is less than none");
        }
        restarts = most;
        return this;
    }

    /**
     * How long a child may take until it serves. 30 seconds unless set.
     *
     * @param timeout more than nothing
     * @return this builder
     */
    public PagerProcessBuilder startTimeout(Duration timeout) {
        startTimeout = SocketDescriptor.nanos(timeout);
        return this;
    }

    /**
     * How long one call of the loader may take before its pages have failed, see {@link RemotePagerBuilder#loadTimeout}. 30
     * seconds unless set. Who touches such a page waits as long, and so does a safepoint of this JVM.
     *
     * @param timeout more than nothing
     * @return this builder
     */
    public PagerProcessBuilder loadTimeout(Duration timeout) {
        SocketDescriptor.nanos(timeout);
        loadTimeout = timeout;
        return this;
    }

    /**
     * What this JVM gets for a page that cannot be had. {@link LoadFailurePolicy#END} unless set: SIGKILL from the child, after
     * a line in its log; SIGABRT, after a line on standard error, when no child can be had any more. With {@link
     * LoadFailurePolicy#FILL} the page reads as the pattern, and fetch, prefetch, check and close throw.
     *
     * @param policy END or FILL; a poisoned page is nothing for a JVM
     * @return this builder
     */
    public PagerProcessBuilder onFailure(LoadFailurePolicy policy) {
        if (policy == LoadFailurePolicy.POISON) {
            throw new IllegalArgumentException("POISON: a JVM that touches a poisoned page may crash; take END or FILL");
        }
        failurePolicy = Objects.requireNonNull(policy, "policy");
        return this;
    }

    /**
     * Empties the region (<b>what was written to it before is gone</b>), registers it, and starts the child. No other thread may
     * use the region's memory meanwhile: nobody can for a moment, and a thread that tries gets SIGSEGV.
     *
     * @return when the child serves
     * @throws IOException if the kernel refuses, or the child ends or does not serve in time; the region is empty then (before
     *     Linux 5.18 one of huge pages may be gone instead: an access raises SIGBUS)
     * @throws IllegalStateException if somebody resolves the region's faults already, or it is closed
     */
    public PagerProcess start() throws IOException {
        synchronized (owner.startLock()) {
            return new PagerProcess(this);
        }
    }

    /** The child's command line. Its descriptors have fixed numbers. */
    List<String> command() {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        // A quick start, and no memory of the heap's size in the child of a big JVM.
        command.addAll(List.of("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData"));
        Module module = PagerProcess.class.getModule();
        if (Runtime.version().feature() >= FOREIGN_MEMORY_API) {
            command.add("--enable-native-access=" + (module.isNamed() ? module.getName() : "ALL-UNNAMED"));
        }
        for (String each : new String[] {NativeLibrary.PATH_PROPERTY, NativeLibrary.TMPDIR_PROPERTY, "java.io.tmpdir"}) {
            if (System.getProperty(each) != null) {
                command.add("-D" + each + "=" + System.getProperty(each));
            }
        }
        command.addAll(jvmOptions);
        if (!classPath.isEmpty()) {
            command.addAll(List.of("-cp", classPath));
        }
        String main = PagerProcessMain.class.getName();
        if (module.isNamed()) {
            command.addAll(List.of("-p", System.getProperty("jdk.module.path"), "--add-modules", "ALL-MODULE-PATH", "-m",
                    module.getName() + "/" + main));
        } else {
            command.add(main);
        }
        command.addAll(List.of(Long.toString(ProcessHandle.current().pid()), Long.toString(owner.address()),
                Long.toString(owner.length()), Long.toString(owner.pageSize()), Integer.toString(workers),
                        Long.toString(around),
                failurePolicy.name(), loadTimeout.toString(), loader.getName()));
        command.addAll(arguments);
        return command;
    }
}
