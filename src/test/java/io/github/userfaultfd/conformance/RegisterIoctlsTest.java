// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.support.Needs;
import java.util.EnumSet;
import java.util.Set;

/** Each set of modes on each kind of memory: the kernel takes it and says which ioctls the range has, or it refuses. */
@Scenario(value = "register-ioctls", features = Feature.PAGEFAULT_FLAG_WP)
class RegisterIoctlsTest {
    @EachMemory
    void eachSetOfModes(MemoryKind kind) throws Exception {
        Set<Feature> features = EnumSet.noneOf(Feature.class);
        features.addAll(kind.missing());
        features.addAll(kind.writeProtect());
        if (kind.isFile()) {
            features.addAll(kind.minor());
        }
        Needs.features(features.toArray(new Feature[0]));
        RegisterMode[] all = RegisterMode.values();
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features)) {
            for (int mask = 1; mask < 1 << all.length; mask++) {
                EnumSet<RegisterMode> modes = EnumSet.noneOf(RegisterMode.class);
                for (RegisterMode each : all) {
                    if ((mask & each.bit()) != 0) {
                        modes.add(each);
                    }
                }
                RegisterMode[] asked = modes.toArray(new RegisterMode[0]);
                if (modes.stream().allMatch(kind::takes)) {
                    assertEquals(kind.ioctls(modes), uffd.register(memory, asked), modes::toString);
                    uffd.unregister(memory);
                } else {
                    UffdException refused = assertThrows(UffdException.class,
                            () -> uffd.register(memory, asked), modes::toString);
                    assertEquals(Abi.EINVAL, refused.errno());
                }
            }
        }
    }
}
