// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd;

import io.github.userfaultfd.internal.Abi;
import io.github.userfaultfd.internal.Native;
import io.github.userfaultfd.internal.Scratch;
import io.github.userfaultfd.internal.Tracing;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.Objects;

/**
 * Opens a userfaultfd: flags and requirements go down in one native call, a descriptor comes up.
 *
 * <pre>{@code
 * try (Uffd uffd = new UffdBuilder()
 *         .closeOnExec(true)
 *         .nonBlocking(true)
 *         .userModeOnly(true)
 *         .create()) {
 *     uffd.register(address, length);
 * }
 * }</pre>
 *
 * <p>A builder is for one thread; {@link #create()} can be called again and opens another descriptor.
 *
 * @see <a href="https://man7.org/linux/man-pages/man2/userfaultfd.2.html">userfaultfd(2)</a>
 */
public final class UffdBuilder {
    private boolean closeOnExec;
    private boolean nonBlocking;
    private boolean userModeOnly = true;
    private OpenMethod openMethod = OpenMethod.AUTO;
    private final EnumSet<Feature> features = EnumSet.noneOf(Feature.class);
    private final EnumSet<Ioctl> ioctls = EnumSet.noneOf(Ioctl.class);

    /** Starts from: not close-on-exec, blocking, user-mode-only, {@link OpenMethod#AUTO}, nothing required. */
    public UffdBuilder() {}

    /**
     * Whether execve(2) closes the descriptor, {@code O_CLOEXEC}. False unless set.
     *
     * @param enabled the new value
     * @return this builder
     */
    public UffdBuilder closeOnExec(boolean enabled) {
        closeOnExec = enabled;
        return this;
    }

    /**
     * Whether reading returns at once when there is no event, {@code O_NONBLOCK}. False unless set. {@link Uffd#poll} needs
     * true: the kernel answers poll(2) on a blocking userfaultfd with an error.
     *
     * @param enabled the new value
     * @return this builder
     */
    public UffdBuilder nonBlocking(boolean enabled) {
        nonBlocking = enabled;
        return this;
    }

    /**
     * Whether only faults of user mode are handled, {@code UFFD_USER_MODE_ONLY} (Linux 5.11): a system call that touches a
     * missing page then fails with EFAULT. True unless set; false needs a right, see {@link OpenMethod}. Kernels before 5.11
     * do not have the flag; there the descriptor is opened without it and handles both.
     *
     * @param enabled the new value
     * @return this builder
     */
    public UffdBuilder userModeOnly(boolean enabled) {
        userModeOnly = enabled;
        return this;
    }

    /**
     * How to open it. {@link OpenMethod#AUTO} unless set.
     *
     * @param method the new value
     * @return this builder
     */
    public UffdBuilder openMethod(OpenMethod method) {
        openMethod = Objects.requireNonNull(method, "method");
        return this;
    }

    /**
     * Asks for features, in addition to those asked for before. They are switched on for the descriptor, or {@link #create()}
     * fails and names the missing ones.
     *
     * @param required what the kernel has to have
     * @return this builder
     */
    public UffdBuilder requireFeatures(Feature... required) {
        return requireFeatures(Arrays.asList(required));
    }

    /**
     * Asks for features, in addition to those asked for before.
     *
     * @param required what the kernel has to have
     * @return this builder
     */
    public UffdBuilder requireFeatures(Collection<Feature> required) {
        for (Feature each : required) {
            features.add(Objects.requireNonNull(each, "feature"));
        }
        return this;
    }

    /**
     * Asks for ioctls, in addition to those asked for before. Those of ranges are proved on scratch pages when the descriptor
     * is made, because the handshake does not tell about them. Whether a range has them is decided by its kind of memory.
     *
     * @param required what the kernel has to have
     * @return this builder
     */
    public UffdBuilder requireIoctls(Ioctl... required) {
        return requireIoctls(Arrays.asList(required));
    }

    /**
     * Asks for ioctls, in addition to those asked for before.
     *
     * @param required what the kernel has to have
     * @return this builder
     */
    public UffdBuilder requireIoctls(Collection<Ioctl> required) {
        for (Ioctl each : required) {
            ioctls.add(Objects.requireNonNull(each, "ioctl"));
        }
        return this;
    }

    /**
     * Opens a userfaultfd and does the handshake, {@code UFFDIO_API}. Does not block.
     *
     * @return the open descriptor
     * @throws UnsupportedFeaturesException if a required feature is not there
     * @throws UnsupportedIoctlsException if a required ioctl is not there
     * @throws UffdException if it cannot be opened; the message says which right, setting or filter is in the way
     */
    public Uffd create() throws UffdException {
        int flags = (closeOnExec ? Abi.CREATE_CLOSE_ON_EXEC : 0)
                | (nonBlocking ? Abi.CREATE_NON_BLOCKING : 0)
                | (userModeOnly ? Abi.CREATE_USER_MODE_ONLY : 0);
        Scratch created = new Scratch(Abi.CREATED_LONGS);
        long wanted = Feature.mask(features);
        int fd = (int) created.pass(address -> Native.create(flags, openMethod.number(), wanted, Ioctl.mask(ioctls), address));
        if (fd < 0) {
            throw refused(-fd, created);
        }
        return new Uffd(fd, created.get(Abi.CREATED_FEATURES), wanted, created.get(Abi.CREATED_IOCTLS));
    }

    private UffdException refused(int errno, Scratch created) {
        if (created.get(Abi.CREATED_STAGE) == Abi.STAGE_OPEN) {
            return AccessDiagnosis.refused(errno, userModeOnly,
                    (int) created.get(Abi.CREATED_DEVICE_ERRNO), (int) created.get(Abi.CREATED_SYSCALL_ERRNO));
        }
        if (created.get(Abi.CREATED_MISSING_FEATURES) != 0) {
            return new UnsupportedFeaturesException(
                    created.get(Abi.CREATED_MISSING_FEATURES), created.get(Abi.CREATED_FEATURES));
        }
        if (created.get(Abi.CREATED_MISSING_IOCTLS) != 0) {
            return new UnsupportedIoctlsException(created.get(Abi.CREATED_MISSING_IOCTLS), created.get(Abi.CREATED_IOCTLS));
        }
        if (errno == Abi.EPERM && features.contains(Feature.EVENT_FORK)) {
            return new UffdException("create", errno, "", "feature EVENT_FORK needs CAP_SYS_PTRACE (here: " + Tracing.here() + ")");
        }
        return new UffdException("create", errno, "with features " + features, "the kernel refused the handshake (UFFDIO_API)");
    }

    @Override
    public String toString() {
        return "UffdBuilder[closeOnExec=" + closeOnExec + ", nonBlocking=" + nonBlocking + ", userModeOnly=" + userModeOnly
                + ", openMethod=" + openMethod + ", features=" + features + ", ioctls=" + ioctls + "]";
    }
}
