// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/** Names the scenario of the kernel's selftests that a class is about; its results go into the table at the end of the run. */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(ScenarioReport.class)
@interface Scenario {
    String value();

    /** What the kernel needs for it, whatever the kind of memory. Without it the scenario is skipped. */
    Feature[] features() default {};

    /** What else the kernel has to be able to do for it. */
    Ability[] abilities() default {};
}
