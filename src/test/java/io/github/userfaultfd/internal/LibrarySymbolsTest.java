// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.userfaultfd.support.ChildJvm;
import io.github.userfaultfd.support.Needs;
import io.github.userfaultfd.support.Trees;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the library asks of a system: one file has to serve old and new glibc, and musl. */
class LibrarySymbolsTest {
    private static final Duration DEADLINE = Duration.ofSeconds(30);
    private static final String EXPORTS = "Java_io_github_userfaultfd_internal_Native_";
    private static final int[] OLDEST = {2, 17};
    /** There was no glibc for these processors before. */
    private static final Map<String, int[]> OLDEST_OF_NEWER = Map.of(
            "linux_riscv64", new int[] {2, 27}, "linux_loongarch64", new int[] {2, 36});
    /** What readelf calls the processor of a folder's library. */
    private static final Map<String, String> MACHINES = Map.of("linux_64", "Advanced Micro Devices X86-64",
            "linux_arm", "ARM", "linux_arm64", "AArch64", "linux_riscv64", "RISC-V", "linux_ppc64le", "PowerPC64",
            "linux_s390x", "IBM S/390", "linux_loongarch64", "LoongArch");
    /** The largest page of a processor's kernels in bytes; a library that is aligned to less does not load there. */
    private static final Map<String, Long> LARGEST_PAGES = Map.of("linux_64", 4L << 10, "linux_arm", 4L << 10,
            "linux_arm64", 64L << 10, "linux_riscv64", 4L << 10, "linux_ppc64le", 64L << 10, "linux_s390x", 4L << 10,
            "linux_loongarch64", 64L << 10);

    /** The host's after an ordinary build, every processor's after 'make dist'. */
    static List<Path> libraries() throws Exception {
        Path natives = Path.of(System.getProperty("test.natives"));
        return Trees.names(natives).stream().map(each -> natives.resolve(each).resolve(NativeLibrary.FILE_NAME)).toList();
    }

    private static String folder(Path library) {
        return library.getParent().getFileName().toString();
    }

    private static List<String> lines(String... command) throws Exception {
        Needs.command(command[0]);
        List<String> lines = ChildJvm.run(DEADLINE, List.of(command)).assertExit(0).output().lines().toList();
        assertFalse(lines.isEmpty(), () -> List.of(command) + " prints nothing");
        return lines;
    }

    private static boolean isOldEnough(String version, Path library) {
        int[] oldest = OLDEST_OF_NEWER.getOrDefault(folder(library), OLDEST);
        // GLIBC_PRIVATE and GLIBC_ABI_... are no numbers and not old enough.
        if (!version.matches("GLIBC_\\d+(\\.\\d+)+")) {
            return false;
        }
        String[] numbers = version.substring("GLIBC_".length()).split("\\.");
        int major = Integer.parseInt(numbers[0]);
        return major < oldest[0] || major == oldest[0] && Integer.parseInt(numbers[1]) <= oldest[1];
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void isForTheProcessorOfItsFolderAndForEachOfItsPageSizes(Path library) throws Exception {
        String machine = lines("readelf", "-W", "-h", library.toString()).stream().filter(each -> each.contains("Machine:"))
                .map(each -> each.replaceAll(".*Machine: *", "")).findFirst().orElseThrow();
        assertEquals(MACHINES.get(folder(library)), machine);
        List<Long> alignments = lines("readelf", "-W", "-l", library.toString()).stream().map(String::strip)
                .filter(each -> each.startsWith("LOAD")).map(each -> Long.decode(each.replaceAll(".* ", ""))).toList();
        assertFalse(alignments.isEmpty(), "nothing to load");
        long page = LARGEST_PAGES.get(folder(library));
        assertEquals(List.of(), alignments.stream().filter(each -> each % page != 0).toList());
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void needsNoNewGlibc(Path library) throws Exception {
        List<String> versions = lines("readelf", "-W", "-V", library.toString()).stream()
                .flatMap(each -> Pattern.compile("Name: (\\S+)").matcher(each).results())
                .map((MatchResult each) -> each.group(1)).distinct().toList();
        assertFalse(versions.isEmpty(), "no versions found");
        assertEquals(List.of(), versions.stream().filter(each -> !isOldEnough(each, library)).toList(), () -> "of " + versions);
    }

    /** A symbol without a version is found by accident: in whatever library the program has loaded before. */
    @ParameterizedTest
    @MethodSource("libraries")
    void needsNothingButVersionedSymbolsOfLibc(Path library) throws Exception {
        List<String> symbols = lines("nm", "-D", "--undefined-only", library.toString()).stream()
                .map(String::strip).filter(each -> each.startsWith("U ")).toList();
        assertFalse(symbols.isEmpty(), "no symbols found");
        assertEquals(List.of(), symbols.stream().filter(each -> !each.contains("@GLIBC_")).toList());
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void linksNothingButLibcAndTheLoader(Path library) throws Exception {
        List<String> needed = lines("readelf", "-W", "-d", library.toString()).stream()
                .filter(each -> each.contains("(NEEDED)")).map(each -> each.replaceAll(".*\\[(.*)].*", "$1")).toList();
        assertTrue(needed.contains("libc.so.6"), needed::toString);
        assertEquals(List.of(), needed.stream()
                .filter(each -> !each.matches("libc\\.so\\.6|ld-linux.*\\.so\\.\\d+|ld64.*")).toList());
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void exportsTheNativeMethodsAndNothingElse(Path library) throws Exception {
        List<String> exported = lines("nm", "-D", "--defined-only", library.toString()).stream()
                .map(each -> each.replaceAll(".* ", "")).sorted().toList();
        List<String> methods = Stream.of(Native.class.getDeclaredMethods())
                .filter(each -> Modifier.isNative(each.getModifiers()))
                .map(each -> EXPORTS + each.getName()).sorted().toList();
        assertEquals(new TreeSet<>(methods), new TreeSet<>(exported));
    }
}
