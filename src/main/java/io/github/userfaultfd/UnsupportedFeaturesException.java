// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import java.util.Set;
import java.util.stream.Collectors;

/** The kernel lacks a feature that was required of {@link UffdBuilder}. */
public class UnsupportedFeaturesException extends UffdException {
    private static final long serialVersionUID = 1L;

    /** Features that were asked for and are not there, as a mask. */
    private final long missing;
    /** Features of the kernel, as a mask. */
    private final long supported;

    UnsupportedFeaturesException(long missing, long supported) {
        super("create", Abi.EINVAL, "", "this kernel (" + System.getProperty("os.version") + ") lacks "
                + Feature.of(missing).stream().map(each -> each + " (Linux " + each.since() + ")")
                        .collect(Collectors.joining(", "))
                + ", which newer kernels may lack too, by processor and configuration; it has " + Feature.names(supported));
        this.missing = missing;
        this.supported = supported;
    }

    /** {@return the required features that are not there} */
    public Set<Feature> missing() {
        return Feature.of(missing);
    }

    /** {@return the features that this kernel has} */
    public Set<Feature> supported() {
        return Feature.of(supported);
    }
}
