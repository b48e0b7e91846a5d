// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToLongFunction;

/** The kernel's masks as sets of constants and back. Bits without a constant, of a newer kernel, are no error. */
final class Masks {
    private Masks() {}

    static <E extends Enum<E>> long mask(Collection<E> constants, ToLongFunction<E> bit) {
        return constants.stream().mapToLong(bit).reduce(0, (a, b) -> a | b);
    }

    static <E extends Enum<E>> Set<E> constants(Class<E> type, ToLongFunction<E> bit, long mask) {
        EnumSet<E> found = EnumSet.noneOf(type);
        for (E each : type.getEnumConstants()) {
            if ((mask & bit.applyAsLong(each)) != 0) {
                found.add(each);
            }
        }
        return Collections.unmodifiableSet(found);
    }

    /** Names every bit, those without a constant by {@code unknownPrefix} and number. */
    static <E extends Enum<E>> String names(Class<E> type, ToLongFunction<E> bit, long mask, String unknownPrefix) {
        List<String> names = new ArrayList<>();
        Set<E> known = constants(type, bit, mask);
        known.forEach(each -> names.add(each.name()));
        for (long unknown = mask & ~mask(known, bit); unknown != 0; unknown &= unknown - 1) {
            names.add(unknownPrefix + Long.numberOfTrailingZeros(unknown));
        }
        return names.toString();
    }
}
