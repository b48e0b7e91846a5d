// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.scijava.nativelib.NativeLibraryUtil;

/** The name of the resource, which needs neither the library nor its processor. */
class NativeLibraryTest {
    @ParameterizedTest
    @CsvSource({
        "amd64, linux_64",
        "x86_64, linux_64",
        "x86-64, linux_64",
        "aarch64, linux_arm64",
        "arm64, linux_arm64",
        "riscv64, linux_riscv64",
        "arm, linux_arm",
        "ppc64le, linux_ppc64le",
        "s390x, linux_s390x",
        "loongarch64, linux_loongarch64",
    })
    void everyProcessorHasItsFolder(String osArch, String folder) {
        assertEquals("natives/" + folder + "/libuserfaultfd_jni.so", NativeLibrary.resourceName("Linux", osArch));
    }

    @Test
    void theFolderOfThisSystemIsTheOneOfNativeLibLoader() {
        assumeTrue(NativeLibraryUtil.getArchitecture() != NativeLibraryUtil.Architecture.UNKNOWN,
                () -> "native-lib-loader has no folder for " + System.getProperty("os.arch"));
        String folder = NativeLibraryUtil.getPlatformLibraryPath(NativeLibraryUtil.DEFAULT_SEARCH_PATH);
        assertEquals(folder + "libuserfaultfd_jni.so",
                NativeLibrary.resourceName(System.getProperty("os.name"), System.getProperty("os.arch")));
    }

    /** In Turkish the small letter of I has no dot. */
    @Test
    void theNameDoesNotDependOnTheLanguage() {
        Locale before = Locale.getDefault();
        Locale.setDefault(Locale.forLanguageTag("tr"));
        try {
            assertEquals("natives/linux_64/libuserfaultfd_jni.so", NativeLibrary.resourceName("LINUX", "amd64"));
        } finally {
            Locale.setDefault(before);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"mips64el", "i386", "ppc64", ""})
    void anUnknownProcessorIsNamedWithTheRemedy(String osArch) {
        String message = assertThrows(UnsatisfiedLinkError.class,
                () -> NativeLibrary.resourceName("Linux", osArch)).getMessage();
        assertTrue(message.contains("os.arch is " + osArch + ";"), message);
        assertTrue(message.contains("-Duserfaultfd.library.path"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"Mac OS X", "Windows 11", "FreeBSD", "SunOS"})
    void anotherSystemIsNamed(String osName) {
        String message = assertThrows(UnsatisfiedLinkError.class,
                () -> NativeLibrary.resourceName(osName, "amd64")).getMessage();
        assertTrue(message.contains("Linux"), message);
        assertTrue(message.contains("os.name is " + osName), message);
    }
}
