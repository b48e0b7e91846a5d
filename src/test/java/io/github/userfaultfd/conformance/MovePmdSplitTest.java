// SPDX-License-Identifier: Apache-2.0
package io.github.userfaultfd.conformance;

import io.github.userfaultfd.Feature;

/** A transparent huge page of which only a part is moved is split, and no byte is lost. */
@Scenario(value = "move-pmd-split", features = Feature.MOVE, abilities = Ability.TRANSPARENT_HUGE_PAGES)
class MovePmdSplitTest {
    private static final int PARTS = 4;

    @EachMemory(MemoryKind.ANONYMOUS)
    void partsOfHugePages(MemoryKind kind) throws Exception {
        long huge = ThpSupport.size();
        MovePmdTest.moveInPieces(kind, huge, huge / PARTS, 0);
    }
}
