#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# matrix.sh GUEST...
# Runs the tests under real kernels, each in a virtual machine of qemu without hardware support, and writes docs/kernels.md. A guest is
# SERIES:PROCESSOR:JDK, such as 5.10:amd64:17 or 7.3-16k:arm64:25. Needs the classes and libraries of 'make dist' and 'make test'.
# MATRIX_CACHE keeps the downloads, MATRIX_PACKAGES names packages and classes of tests, MATRIX_TABLE the file that is written.
set -euo pipefail
cd "$(dirname "$0")/../../.."

export MATRIX_CACHE=${MATRIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/userfaultfd-matrix}
root=io.github.userfaultfd
packages=${MATRIX_PACKAGES:-$root.memory $root.paging $root.snapshot $root.conformance $root.internal $root.FeatureTest $root.UffdBuilderTest $root.UffdTest}
table=${MATRIX_TABLE:-docs/kernels.md}
deadline=${MATRIX_DEADLINE:-900}
work=target/matrix
fetch() {
  src/test/matrix/fetch.sh "$1" "$2" "$MATRIX_CACHE/debs/$3"
}

# The kernel of a series: from 6.19 on in a package of its own.
kernel() { # SERIES ARCHITECTURE
  local series=${1%-16k} flavour=cloud-$2 package=image file
  case $1:$2 in
    *-16k:*) flavour=$2-16k ;;
    *:ppc64el) flavour=powerpc64le ;;
    *:riscv64 | *:s390x) flavour=$2 ;;
  esac
  if [[ $(printf '%s\n6.19\n' "$series" | sort -V | head -1) == 6.19 ]]; then
    package=binary
  fi
  file=$(fetch "$2" "linux-$package-${series/./\\.}\\.[0-9].*-$flavour(-unsigned)?" "linux-$1-$2")
  mkdir -p "$work/kernels"
  dpkg --fsys-tarfile "$file" | tar -xO --wildcards './boot/vmlinu[xz]-*' './usr/lib/modules/*/vmlinu[xz]' 2>/dev/null \
    >"$work/kernels/$1-$2" || true
  [[ -s $work/kernels/$1-$2 ]] || { echo "no kernel in $file" >&2; return 1; }
}

unpack() { # ARCHITECTURE PACKAGE DIRECTORY
  local file
  file=$(fetch "$1" "${2//+/\\+}" "$2-$1")
  dpkg -x "$file" "$3"
}

compiler() { # ARCHITECTURE
  case $1 in
    amd64) echo x86_64-linux-gnu-gcc ;;
    arm64) echo aarch64-linux-gnu-gcc ;;
    ppc64el) echo powerpc64le-linux-gnu-gcc ;;
    *) echo "$1-linux-gnu-gcc" ;;
  esac
}

# Everything that a guest's tests need, as an initial file system, once for a processor and a JDK. No compression: that costs seconds.
file_system() { # ARCHITECTURE JDK
  local image=$work/images/$1-$2.cpio tree=$work/trees/$1-$2 system=$work/systems/$1 cc jdk
  [[ ! -e $image ]] || return 0
  mkdir -p "$work"/{images,trees,systems}
  rm -rf "$tree" "$system"
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp,etc,t/junit,t/target/test-native}
  for each in libc6 zlib1g libstdc++6 libgcc-s1 busybox-static; do
    unpack "$1" "$each" "$system"
  done
  jdk=$work/systems/$1-$2
  [[ -d $jdk ]] || for each in "openjdk-$2-jdk-headless" "openjdk-$2-jre-headless"; do
    unpack "$1" "$each" "$jdk"
  done
  cp "$system"/{,usr/}bin/busybox "$tree/bin/" 2>/dev/null || true
  [[ -x $tree/bin/busybox ]]
  # Each dynamic loader's path is fixed in the programs: all the names lead to one directory.
  mkdir -p "$tree/lib"
  find "$system" -name '*.so*' -not -path '*/gconv/*' -not -path '*/audit/*' \( -type f -o -type l -not -lname '*/*' \) \
    -exec cp -P -t "$tree/lib" {} +
  mkdir -p "$tree/usr"
  ln -s lib "$tree/lib64"
  ln -s ../lib "$tree/usr/lib"
  multiarch=$(basename "$(dirname "$(find "$system" -name libc.so.6 | head -1)")")
  ln -sfn /lib "$tree/lib/$multiarch"
  local jlink=jlink
  if [[ $2 != "$(javac -version 2>&1 | sed 's/javac \([0-9]*\).*/\1/')" ]]; then
    jlink=$(find /usr/lib/jvm -path "*$2*" -name jlink | head -1)
    [[ -n $jlink ]] || { echo "no jlink of JDK $2 in /usr/lib/jvm" >&2; return 1; }
  fi
  "$jlink" --module-path "$(dirname "$(find "$jdk" -name java.base.jmod)")" --output "$tree/jre" --strip-java-debug-attributes --no-header-files \
    --no-man-pages --add-modules java.base,java.logging,java.management,java.xml,jdk.jfr,jdk.management,jdk.unsupported
  find "$tree/jre" -name '*.debuginfo' -delete
  # Debian's configuration files are links to /etc.
  rm -rf "$tree/jre/conf"
  cp -rL "$jdk/etc/java-$2-openjdk" "$tree/jre/conf"
  cp -r target/dist/classes target/test-classes "$tree/t/target/"
  cp -r target/lib "$tree/t/target/lib"
  cp $(cat "$work/junit") "$tree/t/junit/"
  cc=$(compiler "$1")
  make -s NATIVE_DIRECTORY="$tree/t/target/test-native" TEST_CC="$cc" test-native
  cp src/test/matrix/init "$tree/init"
  echo "PACKAGES='$packages'" >"$tree/packages"
  printf 'root:x:0:0:root:/:/bin/sh\nordinary:x:1000:1000:ordinary:/tmp:/bin/sh\n' >"$tree/etc/passwd"
  printf 'root:x:0:\nordinary:x:1000:\n' >"$tree/etc/group"
  (cd "$tree" && find . | sort | cpio -o -H newc -R 0:0 --quiet) >"$image"
}

boot() { # SERIES ARCHITECTURE JDK
  local kernel=$work/kernels/$1-$2 image=$work/images/$2-$3.cpio
  local common=(-smp 2 -m 1280 -nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel" -initrd "$image" -accel tcg,thread=multi)
  local append="panic=-1 quiet rdinit=/init"
  case $2 in
    amd64) qemu-system-x86_64 -M q35 -cpu max "${common[@]}" -append "console=ttyS0 $append" ;;
    arm64) qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on "${common[@]}" -append "console=ttyAMA0 $append" ;;
    riscv64) qemu-system-riscv64 -M virt "${common[@]}" -append "console=ttyS0 $append" ;;
    ppc64el) qemu-system-ppc64 -M pseries -cpu power9 "${common[@]}" -append "console=hvc0 $append" ;;
    s390x) qemu-system-s390x -M s390-ccw-virtio "${common[@]/-nodefaults/-nodefaults}" -append "$append" ;;
  esac
}

mkdir -p "$work"
mvn -B -q -ntp dependency:build-classpath -Dmdep.includeScope=test -Dmdep.outputFile="$work/classpath"
tr ':' '\n' <"$work/classpath" | grep -E '/(junit|opentest4j|apiguardian)[^/]*\.jar$' >"$work/junit"
rm -rf "$work"/{images,trees} "$work"/*.log

rows=()
failures=0
begin=$SECONDS
for guest in "$@"; do
  IFS=: read -r series architecture jdk <<<"$guest"
  log=$work/$series-$architecture-$jdk.log
  kernel "$series" "$architecture"
  file_system "$architecture" "$jdk"
  start=$SECONDS
  # Its own errors and the end of time are seen below: the last line is missing.
  boot "$series" "$architecture" "$jdk" </dev/null 2>&1 | timeout -s KILL "$deadline" tr -d '\r' >"$log" || true
  seconds=$((SECONDS - start))
  system=$(sed -n 's/^SYSTEM //p' "$log" | head -1)
  for user in root ordinary; do
    result=$(sed -n "/USER $user$/,/^EXIT/s/^RESULT //p" "$log")
    read -r _ passed _ skipped _ failed <<<"${result:-passed 0 skipped 0 failed -}"
    [[ $failed == 0 && $passed != 0 ]] || failures=$((failures + 1))
    rows+=("| ${system//, / | } | $architecture | $user | $passed | $skipped | $failed | $seconds s |")
    echo "$guest $user: ${system:-no system}; ${result:-no result}; $seconds s, see $log"
  done
  grep -q '^MATRIX-END' "$log" || { echo "$guest did not come to its end" >&2; failures=$((failures + 1)); }
done

{
  echo "# Kernels"
  echo
  echo "Written by \`make matrix\`: the tests in \`${packages//$root./}\` in virtual machines with Debian's kernels."
  echo
  echo "| kernel | JDK | page size | features | processor | user | passed | skipped | failed | time |"
  echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
  printf '%s\n' "${rows[@]}"
  echo
  echo "All of it took $((SECONDS - begin)) s. Skipped, with the number of tests and guests' users together:"
  echo
  sed -n 's/^SKIPPED [^ ]* .*: //p' "$work"/*.log | sed 's/^Linux [^ ]* lacks/the kernel lacks/' | sort | uniq -c | sort -rn |
    sed 's/^ *\([0-9]*\) \(.*\)/- \1: \2/'
} | sed 's/kernel \([^ ]*\) | JDK \([0-9]*\) | page \([0-9]*\) | features/\1 | \2 | \3 |/' >"$table"
((failures == 0)) || { echo "matrix: $failures failures" >&2; exit 1; }
