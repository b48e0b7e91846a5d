// SPDX-License-Identifier: Apache-2.0
import io.github.userfaultfd.UffdException;
import io.github.userfaultfd.memory.MemoryRegion;
import io.github.userfaultfd.paging.FaultEngine;
import io.github.userfaultfd.paging.PageSource;
import io.github.userfaultfd.paging.Pager;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Takes the SIGBUS handler away from a running pager, as another native library might, and puts it back. */
class ReplacedHandler {
    private static final int SIGBUS = 7;

    public static void main(String[] arguments) throws Throwable {
        Linker linker = Linker.nativeLinker();
        MethodHandle signal = linker.downcallHandle(linker.defaultLookup().find("signal").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
        try (MemoryRegion region = MemoryRegion.anonymous(1 << 20); MemoryRegion other = MemoryRegion.anonymous(1 << 20);
                Pager pager = Pager.of(region, PageSource.zeros()).engine(FaultEngine.INLINE).start()) {
            region.asByteBuffer(0, 1).get(0);
            pager.check();
            MemorySegment ours = (MemorySegment) signal.invokeExact(SIGBUS, MemorySegment.NULL);
            try {
                pager.check();
            } catch (UffdException e) {
                System.out.println(e.getMessage());
            }
            try {
                Pager.of(other, PageSource.zeros()).engine(FaultEngine.INLINE).start();
            } catch (UffdException e) {
                System.out.println("INLINE refused: " + e.getMessage());
            }
            try (Pager auto = Pager.of(other, PageSource.zeros()).start()) {
                System.out.println("AUTO took " + auto.engine() + " " + other.asByteBuffer(5000, 1).get(0));
            }
            Thread.sleep(500);
            MemorySegment theirs = (MemorySegment) signal.invokeExact(SIGBUS, ours);
            pager.check();
            System.out.println("given back: fine");
        }
    }
}
