// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.ArgumentsProvider;
import org.junit.jupiter.params.provider.ArgumentsSource;
import org.junit.jupiter.params.support.AnnotationConsumer;
import org.junit.jupiter.params.support.ParameterDeclarations;

/** A test that runs once for each kind of memory that the kernel's own table has for the scenario; all five unless listed. */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest(name = "{0}")
@ArgumentsSource(EachMemory.Kinds.class)
@interface EachMemory {
    MemoryKind[] value() default {
        MemoryKind.ANONYMOUS, MemoryKind.SHMEM, MemoryKind.SHMEM_PRIVATE, MemoryKind.HUGETLB, MemoryKind.HUGETLB_PRIVATE
    };

    /** Reads the annotation. */
    final class Kinds implements ArgumentsProvider, AnnotationConsumer<EachMemory> {
        private MemoryKind[] kinds;

        @Override
        public void accept(EachMemory annotation) {
            kinds = annotation.value();
        }

        @Override
        public Stream<? extends Arguments> provideArguments(ParameterDeclarations parameters, ExtensionContext context) {
            return Arrays.stream(kinds).map(Arguments::of);
        }
    }
}
