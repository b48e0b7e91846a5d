// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import java.util.Set;
import java.util.stream.Collectors;

/** The kernel lacks an ioctl that was required of {@link UffdBuilder}. */
public class UnsupportedIoctlsException extends UffdException {
    private static final long serialVersionUID = 1L;

    /** Ioctls that were asked for and are not there, as a mask. */
    private final long missing;
    /** Ioctls of the kernel, as a mask. */
    private final long supported;

    UnsupportedIoctlsException(long missing, long supported) {
        super("create", Abi.EINVAL, "", "this kernel (" + System.getProperty("os.version") + ") lacks "
                + Ioctl.of(missing).stream().map(each -> each + " (Linux " + each.since() + ")")
                        .collect(Collectors.joining(", "))
                + "; it has " + Ioctl.names(supported));
        this.missing = missing;
        this.supported = supported;
    }

    /** {@return the required ioctls that are not there} */
    public Set<Ioctl> missing() {
        return Ioctl.of(missing);
    }

    /** {@return the ioctls that this kernel has} */
    public Set<Ioctl> supported() {
        return Ioctl.of(supported);
    }
}
