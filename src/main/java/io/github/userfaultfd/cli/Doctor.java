// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.OpenMethod;
import io.github.userfaultfd.SystemSupport;
import io.github.userfaultfd.internal.NativeLibrary;
import io.github.userfaultfd.internal.ProcFiles;
import io.github.userfaultfd.internal.Tracing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Looks at everything the library depends on, by trying it, and says what to do about what is missing. */
final class Doctor {
    /** The parts of the report: a title for people, and the constant's name in lower case for programs. */
    enum Section {
        SYSTEM("System"), PROCESS("This process"), LIBRARY("Native library"), OPENING("Opening a userfaultfd"), FEATURES("Features"),
        IOCTLS("Ioctls"), MEMORY("Memory"), SELF_TEST("Self-test");

        final String title;

        Section(String title) {
            this.title = title;
        }
    }

    /** Between what was found and what to do about it, in the messages of a library that cannot be loaded. */
    private static final Pattern ADVICE = Pattern.compile("; (?=(?:allow|build|give|name) )");

    private final Map<Section, List<Finding>> sections = new EnumMap<>(Section.class);

    private Doctor() {}

    /** {@return what was found, by section, in the order of reading} */
    static Map<Section, List<Finding>> examine() {
        Doctor doctor = new Doctor();
        doctor.sections.put(Section.SYSTEM, system());
        doctor.sections.put(Section.PROCESS, process());
        Finding library;
        try {
            SystemSupport support = SystemSupport.probe();
            library = Finding.yes("native library", "loaded from " + NativeLibrary.loadedFrom());
            doctor.sections.put(Section.LIBRARY, List.of(library));
            doctor.examine(support);
        } catch (LinkageError e) {
            doctor.sections.put(Section.LIBRARY, List.of(notLoaded(Main.words(Main.cause(e)))));
        }
        return doctor.sections;
    }

    /** {@return whether paging works: at least one way of the self-test} */
    static boolean works(Map<Section, List<Finding>> sections) {
        return sections.getOrDefault(Section.SELF_TEST, List.of()).stream()
                .anyMatch(each -> each.isYes() && each.name().startsWith(SelfTest.PAGING));
    }

    private void examine(SystemSupport support) {
        sections.put(Section.OPENING, support.attempts().stream().map(Doctor::attempt).toList());
        sections.put(Section.FEATURES, support.canOpen() ? features(support) : List.of(unknown("features")));
        sections.put(Section.IOCTLS, support.canOpen() ? ioctls(support) : List.of(unknown("ioctls")));
        sections.put(Section.MEMORY, memory(support));
        sections.put(Section.SELF_TEST, support.canOpen() ? SelfTest.run(support)
                : List.of(Finding.no("paging", "nothing to try it with: no userfaultfd can be opened, see above")));
    }

    private static Finding notLoaded(String words) {
        String[] parts = ADVICE.split(words, 2);
        return Finding.no("native library", parts[0], parts.length == 1 ? "" : parts[1]);
    }

    private static Finding unknown(String what) {
        return Finding.no(what, "not known, because no userfaultfd can be opened");
    }

    private static List<Finding> system() {
        return List.of(
                Finding.info("kernel", System.getProperty("os.name") + " " + System.getProperty("os.version")),
                Finding.info("processor", System.getProperty("os.arch") + ", " + Runtime.getRuntime().availableProcessors()
                        + " available"),
                Finding.info("C library", libc()),
                Finding.info("Java", System.getProperty("java.vm.name") + " " + Runtime.version()),
                Finding.info("container", container()));
    }

    /** The dynamic loader and libc of this process tell. */
    private static String libc() {
        try {
            List<String> files = Files.readAllLines(Path.of("/proc/self/maps")).stream()
                    .filter(line -> line.contains("/")).map(line -> line.substring(line.indexOf('/'))).distinct().toList();
            return files.stream().filter(each -> each.contains("/ld-musl")).findFirst().map(each -> "musl, " + each)
                    .or(() -> files.stream().filter(each -> each.matches(".*/libc[.-][^/]*so[^/]*")).findFirst()
                            .map(each -> "glibc, " + each))
                    .orElse("not known");
        } catch (IOException e) {
            return "not known: " + e;
        }
    }

    private static String container() {
        List<String> signs = new ArrayList<>();
        for (String each : new String[] {"/.dockerenv", "/run/.containerenv"}) {
            if (Files.exists(Path.of(each))) {
                signs.add(each);
            }
        }
        if (System.getenv("container") != null) {
            signs.add("the environment variable container=" + System.getenv("container"));
        }
        ProcFiles.line("/proc/1/cgroup").filter(line -> line.matches(".*(docker|kubepods|containerd|lxc|libpod).*"))
                .ifPresent(line -> signs.add("/proc/1/cgroup: " + line));
        return signs.isEmpty() ? "no sign of one" : String.join(", ", signs);
    }

    private static List<Finding> process() {
        String seccomp = switch ((int) ProcFiles.statusHex("Seccomp")) {
            case 0 -> "none";
            case 1 -> "strict";
            default -> "a filter is active";
        };
        String user = ProcFiles.field("/proc/thread-self/status", "Uid").map(each -> each.split("\\s+")[1]).orElse("not known");
        return List.of(Finding.info("user", System.getProperty("user.name") + ", effective uid " + user),
                Finding.info("CAP_SYS_PTRACE", Tracing.here()), Finding.info("seccomp", seccomp),
                Finding.info("vm.unprivileged_userfaultfd", ProcFiles.line("/proc/sys/vm/unprivileged_userfaultfd")
                        .orElse(ProcFiles.hasSettings() ? "the kernel does not have the setting"
                                : "not known: there is no /proc/sys here")));
    }

    private static Finding attempt(SystemSupport.Attempt attempt) {
        String name = (attempt.method() == OpenMethod.DEVICE ? "/dev/userfaultfd" : "the system call")
                + (attempt.userModeOnly() ? ", user mode only" : ", all faults");
        return attempt.opened() ? Finding.yes(name, "opens")
                : Finding.no(name, attempt.toString().replaceFirst("^[^:]*: ", ""));
    }

    private static List<Finding> features(SystemSupport support) {
        Set<Feature> granted = support.features();
        List<Finding> found = new ArrayList<>();
        for (Feature each : Feature.values()) {
            if (each == Feature.PAGEFAULT_FLAG_WP && granted.contains(each) && !support.writeProtects()) {
                found.add(Finding.no(each.name(), "the kernel says it has it, but a protected page can be written",
                        "another kernel"));
                continue;
            }
            String right = each == Feature.EVENT_FORK && Tracing.here() != Tracing.ALLOWED ? "; needs CAP_SYS_PTRACE" : "";
            found.add(granted.contains(each) ? Finding.yes(each.name(), "Linux " + each.since() + right)
                    : Finding.no(each.name(), "missing; " + without(each), kernelOf(each.since())));
        }
        String names = Feature.names(support.rawFeatures());
        if (names.contains("bit ")) {
            found.add(Finding.info("newer than this library", names));
        }
        return found;
    }

    private static String kernelOf(String since) {
        return "Linux " + since + " or newer, if it was built with that and has it for this processor";
    }

    /** What a user of this library has instead. */
    private static String without(Feature feature) {
        return switch (feature) {
            case SIGBUS -> "Pager serves with FaultEngine.THREAD";
            case MISSING_SHMEM, MISSING_HUGETLBFS -> "Pager serves other kinds of memory";
            case WP_ASYNC -> "what was written is found out by faults, which is slower";
            case PAGEFAULT_FLAG_WP -> "nothing can be tracked or snapshotted";
            case WP_HUGETLBFS_SHMEM -> "only anonymous memory can be tracked and snapshotted";
            case WP_UNPOPULATED -> "missing pages are made before they are protected";
            case EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP -> "whoever serves another process does not hear of that";
            case MINOR_SHMEM, MINOR_HUGETLBFS, MOVE, POISON, THREAD_ID, EXACT_ADDRESS, RWP, RWP_ASYNC ->
                "only users of Uffd itself miss it";
        };
    }

    private static List<Finding> ioctls(SystemSupport support) {
        List<Finding> found = new ArrayList<>();
        for (Ioctl each : Ioctl.values()) {
            found.add(support.ioctls().contains(each) ? Finding.yes(each.name(), "Linux " + each.since())
                    : Finding.no(each.name(), "missing", kernelOf(each.since())));
        }
        return found;
    }

    private static List<Finding> memory(SystemSupport support) {
        List<Finding> found = new ArrayList<>();
        found.add(Finding.info("page size", support.pageSize() + " bytes"));
        if (support.hugePages().isEmpty()) {
            found.add(Finding.no("huge pages", "this system has none; other memory works without them",
                    "a kernel that was built with CONFIG_HUGETLBFS, on a processor that has them"));
        }
        support.hugePages().forEach((size, free) -> found.add(free > 0
                ? Finding.yes("huge pages of " + (size >> 10) + " KiB", free + " free")
                : Finding.no("huge pages of " + (size >> 10) + " KiB", "none free; other memory works without them",
                        "as root: echo NUMBER >/sys/kernel/mm/hugepages/hugepages-" + (size >> 10) + "kB/nr_hugepages")));
        found.add(support.pagemapScan() ? Finding.yes("PAGEMAP_SCAN", "Linux 6.7")
                : Finding.no("PAGEMAP_SCAN", "missing; " + without(Feature.WP_ASYNC), kernelOf("6.7")));
        return found;
    }
}
