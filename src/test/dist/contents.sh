#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is in target/dist: every processor's library, and nothing that does not belong there.
set -euo pipefail
cd "$(dirname "$0")/../../.."

fail() {
  echo "contents: $*" >&2
  exit 1
}
names() {
  unzip -Z1 "$1" | grep -v '/$' | sort
}
version=$(sed -n '0,/<version>/s|.*<version>\(.*\)</version>.*|\1|p' pom.xml)
base=target/dist/userfaultfd-$version
folders='linux_64 linux_arm linux_arm64 linux_ppc64le linux_riscv64 linux_s390x'
class='io/github/userfaultfd/([a-z0-9_]+/)*[A-Za-z0-9_$-]+\.class'
common="META-INF/(MANIFEST\.MF|LICENSE|native-image/io\.github\.userfaultfd/userfaultfd/(resource|reflect)-config\.json)|module-info\.class"
common+="|natives/linux_[a-z0-9]+/libuserfaultfd_jni\.so|$class"

for jar in "$base.jar" "$base-all.jar"; do
  allowed=$common
  if [[ $jar == *-all.jar ]]; then
    allowed+='|META-INF/licenses/(jackson-core|native-lib-loader|slf4j)\.txt'
    [[ $(names "$jar" | grep -c '^META-INF/licenses/') == 3 ]] || fail "$jar lacks a licence"
  fi
  unexpected=$(names "$jar" | grep -Evx "$allowed" || true)
  [[ -z $unexpected ]] || fail "$jar has what nobody expects: $unexpected"
  natives=$(names "$jar" | sed -n 's|^natives/\(.*\)/.*|\1|p' | xargs)
  [[ $natives == "$folders" ]] || fail "$jar has the libraries of $natives, not of $folders"
  [[ -z $(names "$jar" | uniq -d) ]] || fail "$jar has a name twice"
  manifest=$(unzip -p "$jar" META-INF/MANIFEST.MF)
  [[ $manifest != *Class-Path* ]] || fail "$jar names jars beside it"
  [[ $manifest == *"Main-Class: io.github.userfaultfd.cli.Main"* ]] || fail "$jar is no program"
  printf '%8d bytes  %s\n' "$(stat -c %s "$jar")" "$jar"
done
# The drop-in jar has the classes that the other one has, and its module says the same but for what is inside.
missing=$(comm -23 <(names "$base.jar") <(names "$base-all.jar"))
[[ -z $missing ]] || fail "the drop-in jar lacks $missing"
difference=$(diff <(jar --describe-module --file "$base.jar" | sed 1d | sort) \
  <(jar --describe-module --file "$base-all.jar" | sed 1d | sort) || true)
expected=$'< requires com.fasterxml.jackson.core static\n< requires org.scijava.nativelib'
[[ $(grep -E "^[<>] (exports|opens|provides|requires|uses) " <<<"$difference") == "$expected" ]] ||
  fail "the modules differ: $difference"
for each in sources javadoc; do
  [[ -s $base-$each.jar ]] || fail "no $each"
  printf '%8d bytes  %s\n' "$(stat -c %s "$base-$each.jar")" "$base-$each.jar"
done
# grep -q would end before it has read all, and the pipe would fail.
names "$base-sources.jar" | grep '^io/github/userfaultfd/Uffd.java$' >/dev/null || fail "no sources in the jar of sources"
names "$base-javadoc.jar" | grep 'io/github/userfaultfd/Uffd.html$' >/dev/null || fail "no pages in the jar of documentation"
! names "$base-javadoc.jar" | grep -E 'userfaultfd/(checkpoint|internal)/' >/dev/null || fail "internal classes are documented"
for each in jackson-core native-lib-loader slf4j-api; do
  grep -q "\"name\" : \"$each\"" target/dist/bom.json || fail "$each is not in the list of contents"
done
(cd target/dist && sha256sum --quiet -c SHA256SUMS)
unzip -lv "$base-all.jar" 'natives/*.so' | awk '/\.so$/ {printf "%8d bytes, %d in the jar  %s\n", $1, $3, $8}'
echo "contents: all right"
