#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds what is given to others from two clean clones of HEAD, in other places, with another umask, language and time zone. They
# have to be identical byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../../.."
work=target/reproducible
rm -rf "$work"
mkdir -p "$work"
if [[ -n $(git status --porcelain) ]]; then
  echo "reproducible: what is not committed is not looked at"
fi
build() { # DIRECTORY
  # The modes of the files of a checkout are in the jar of sources.
  (umask 022; git clone -q --no-hardlinks . "$1")
  make -s -C "$1" dist >"$work/$(basename "$1").log" 2>&1 || { cat "$work/$(basename "$1").log" >&2; exit 1; }
}
(umask 022; LC_ALL=C TZ=UTC build "$work/a")
(umask 077; LC_ALL=C.UTF-8 TZ=Asia/Tokyo build "$work/another-place/b")
count=0
for each in "$work"/a/target/dist/{userfaultfd-*,bom.*,SHA256SUMS}; do
  cmp "$each" "$work/another-place/b/target/dist/$(basename "$each")"
  count=$((count + 1))
done
((count == 7)) || { echo "reproducible: $count files, not 7" >&2; exit 1; }
rm -rf "$work"
echo "reproducible: $count files, identical byte for byte"
