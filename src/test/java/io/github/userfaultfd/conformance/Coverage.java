// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;
import io.github.userfaultfd.Ioctl;
import io.github.userfaultfd.RegisterMode;
import io.github.userfaultfd.ResolveMode;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/** What the conformance tests really used: noted by {@link CoveredUffd} after each call that the kernel carried out. */
final class Coverage {
    private static final Set<Feature> FEATURES = EnumSet.noneOf(Feature.class);
    private static final Set<Ioctl> IOCTLS = EnumSet.noneOf(Ioctl.class);
    private static final Set<RegisterMode> REGISTER_MODES = EnumSet.noneOf(RegisterMode.class);
    private static final Map<Ioctl, Set<ResolveMode>> RESOLVE_MODES = new EnumMap<>(Ioctl.class);

    private Coverage() {}

    static synchronized void enabled(Set<Feature> features) {
        FEATURES.addAll(features);
    }

    static synchronized void called(Ioctl ioctl, ResolveMode... modes) {
        IOCTLS.add(ioctl);
        RESOLVE_MODES.computeIfAbsent(ioctl, each -> EnumSet.noneOf(ResolveMode.class)).addAll(Set.of(modes));
    }

    static synchronized void registered(RegisterMode... modes) {
        REGISTER_MODES.addAll(Set.of(modes));
    }

    static synchronized Set<Feature> features() {
        return EnumSet.copyOf(FEATURES);
    }

    static synchronized Set<Ioctl> ioctls() {
        return EnumSet.copyOf(IOCTLS);
    }

    static synchronized Set<RegisterMode> registerModes() {
        return EnumSet.copyOf(REGISTER_MODES);
    }

    static synchronized Set<ResolveMode> resolveModes(Ioctl ioctl) {
        return RESOLVE_MODES.getOrDefault(ioctl, Set.of());
    }
}
