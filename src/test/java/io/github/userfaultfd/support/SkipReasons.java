// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.support;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Prints why a test was skipped, which the runner only counts. Found as a service by the JUnit platform. */
public final class SkipReasons implements TestExecutionListener {
    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
            print(test, result.getThrowable().map(Throwable::getMessage).orElse("no reason given"));
        }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        print(test, reason);
    }

    /** Its class and what it is called there. */
    static String name(TestIdentifier test) {
        String type = test.getSource().map(Object::toString).orElse("").replaceAll(".*className = '([^']*)'.*", "$1");
        return type + " " + test.getDisplayName();
    }

    private static void print(TestIdentifier test, String reason) {
        System.out.println("SKIPPED " + name(test) + ": " + reason.replaceFirst("^Assumption failed: ", ""));
    }
}
