#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares what others can compile and link against with the newest tagged version, which is built from its tag.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tag=$(git -c versionsort.suffix=- for-each-ref --count=1 --sort=-version:refname --format='%(refname:short)' 'refs/tags/v*')
if [[ -z $tag ]]; then
  echo "api-check: no tagged version yet, so there is nothing to compare with"
  exit 0
fi
work=target/api
old=$work/$tag
remove() {
  git worktree remove --force "$old" 2>/dev/null || rm -rf "$old"
  git worktree prune
}
trap remove EXIT
remove
mkdir -p "$work"
git worktree add -q --detach "$old" "$tag"
make -s -C "$old" jar >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
mvn -B -q -ntp -Papi com.github.siom79.japicmp:japicmp-maven-plugin:cmp -Dapi.old="$(echo "$PWD/$old"/target/userfaultfd-*.jar)"
echo "api-check: whoever uses $tag can use this"
