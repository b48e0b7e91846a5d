// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import java.nio.file.Files;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/**
 * Ends this JVM by SIGKILL when a test does not come to its end: a thread that waits for a page hears no interrupt, and a JVM in a
 * safepoint deadlock no other signal. Watches each test, found as a service by the JUnit platform.
 */
public final class Watchdog implements TestExecutionListener {
    /** Several times what the longest test takes. */
    private static final int SECONDS = 600 * ChildJvm.PATIENCE;

    private static final boolean THERE = Files.exists(ChildJvm.testLibrary());

    static {
        if (THERE) {
            System.load(ChildJvm.testLibrary().toString());
        } else {
            System.out.println("tests that hang are not ended: " + ChildJvm.testLibrary() + " is missing, 'make test-native' builds it");
        }
    }

    private static native void set(String name, int seconds);

    private static native void setRestored(String path, String value);

    /** From now on so many seconds may pass; 0: no limit any more. */
    public static void watch(String name, int seconds) {
        if (THERE) {
            set(name, seconds);
        }
    }

    /** What to write where before this process is killed; empty: nothing any more. */
    public static void restores(String path, String value) {
        if (THERE) {
            setRestored(path, value);
        }
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        if (test.isTest()) {
            watch(SkipReasons.name(test), SECONDS);
        }
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (test.isTest()) {
            watch("", 0);
        }
    }
}
