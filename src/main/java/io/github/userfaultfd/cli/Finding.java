// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.cli;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One line of the doctor's report.
 *
 * @param name what was looked at
 * @param answer whether it is there
 * @param found what was seen, in words
 * @param remedy what a user can do about it; empty if there is nothing to do
 */
record Finding(String name, Answer answer, String found, String remedy) {
    private static final Pattern REMEDY = Pattern.compile(" \\(remedy: ((?:[^()]|\\([^()]*\\))*)\\)");

    /** YES and NO answer a question; INFO is a fact. */
    enum Answer { YES, NO, INFO }

    static Finding info(String name, Object found) {
        return new Finding(name, Answer.INFO, found.toString(), "");
    }

    static Finding yes(String name, String found) {
        return new Finding(name, Answer.YES, found, "");
    }

    /** The messages of the library have their remedy in parentheses, which may hold others. */
    static Finding no(String name, String message) {
        Matcher remedy = REMEDY.matcher(message);
        return remedy.find() ? new Finding(name, Answer.NO, remedy.replaceFirst(""), remedy.group(1))
                : new Finding(name, Answer.NO, message, "");
    }

    static Finding no(String name, String found, String remedy) {
        return new Finding(name, Answer.NO, found, remedy);
    }

    boolean isYes() {
        return answer == Answer.YES;
    }
}
