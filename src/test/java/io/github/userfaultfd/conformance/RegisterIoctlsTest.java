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
import java.util.List;
import java.util.Set;

/** Each set of modes on each kind of memory: the kernel takes it and says which ioctls the range has, or it refuses. */
@Scenario("register-ioctls")
class RegisterIoctlsTest {
    @EachMemory
    void eachSetOfModes(MemoryKind kind) throws Exception {
        Set<Feature> features = kind.missingAndWhatProtects();
        // Read-write protection is an alternative of write protection, see RwpTest.
        EnumSet<RegisterMode> all = EnumSet.of(RegisterMode.MISSING);
        if (kind.canBeWriteProtected()) {
            all.add(RegisterMode.WRITE_PROTECT);
        }
        if (!kind.isFile()) {
            all.add(RegisterMode.MINOR); // refused
        } else if (Needs.workingFeatures().containsAll(kind.minor())) {
            all.add(RegisterMode.MINOR);
            features.addAll(kind.minor());
        }
        Needs.features(features);
        try (TestMemory memory = TestMemory.of(kind); CoveredUffd uffd = CoveredUffd.open(features)) {
            List<RegisterMode> list = List.copyOf(all);
            for (int subset = 1; subset < 1 << list.size(); subset++) {
                EnumSet<RegisterMode> modes = EnumSet.noneOf(RegisterMode.class);
                for (int i = 0; i < list.size(); i++) {
                    if ((subset & 1 << i) != 0) {
                        modes.add(list.get(i));
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
