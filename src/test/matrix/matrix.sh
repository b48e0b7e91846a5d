#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# matrix.sh GUEST...
# Runs the tests under real kernels, each in a virtual machine of qemu without hardware support, and writes docs/kernels.md. A guest is
# SERIES:PROCESSOR:JDK, such as 5.10:amd64:17 or 7.3-16k:arm64:25. Needs the classes and libraries of 'make dist' and 'make test'.
# MATRIX_CACHE keeps the downloads, MATRIX_PACKAGES names packages and classes of tests, MATRIX_RESULTS is the directory with a file
# for each guest, MATRIX_TABLE the file that is made of them all, MATRIX_DEADLINE the seconds that a guest may take, MATRIX_JOBS how
# many guests run at a time (as many as there are processors and as fit into memory), MATRIX_USERS who runs the tests: root, ordinary.
set -euo pipefail
cd "$(dirname "$0")/../../.."

export MATRIX_CACHE=${MATRIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/userfaultfd-matrix}
all="memory paging snapshot conformance internal.LibcTest internal.NativeLibraryTest internal.MountOptionsTest FeatureTest
  UffdBuilderTest UffdTest child.SeccompTest child.OrdinaryUserTest"
packages=
for each in ${MATRIX_PACKAGES:-$all}; do
  packages="$packages io.github.userfaultfd.$each"
done
table=${MATRIX_TABLE:-docs/kernels.md}
users=${MATRIX_USERS:-root ordinary}
results=${MATRIX_RESULTS:-src/test/matrix/results}
deadline=${MATRIX_DEADLINE:-3600}
jobs=${MATRIX_JOBS:-$(awk -v most="$(nproc)" '/^MemAvailable/ {fit = int($2 / 1500000); print fit < 1 ? 1 : fit < most ? fit : most}' /proc/meminfo)}
work=target/matrix
libraries=(libc6 zlib1g libstdc++6 libgcc-s1)
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
    *:armhf) flavour=armmp ;;
  esac
  if printf '6.19\n%s\n' "$series" | sort -VC; then
    package=binary
  fi
  file=$(fetch "$2" "linux-$package-${series/./\\.}\\.[0-9].*-$flavour(-unsigned)?" "linux-$1-$2")
  mkdir -p "$work/kernels"
  dpkg --fsys-tarfile "$file" | tar -xO --wildcards './boot/vmlinu[xz]-*' './usr/lib/modules/*/vmlinu[xz]' 2>/dev/null \
    >"$work/kernels/$1-$2" || true
  [[ -s $work/kernels/$1-$2 ]] || { echo "no kernel in $file" >&2; return 1; }
}

# Packages in a directory of their own, which is there only when it is complete.
unpack() { # ARCHITECTURE DIRECTORY PACKAGE...
  local architecture=$1 directory=$2 file
  shift 2
  [[ ! -d $directory ]] || return 0
  rm -rf "$directory.part"
  mkdir -p "$directory.part"
  for each in "$@"; do
    file=$(fetch "$architecture" "${each//+/\\+}" "$each-$architecture")
    dpkg -x "$file" "$directory.part"
  done
  mv "$directory.part" "$directory"
}

# jlink has to be of the JDK whose modules it links: the system's own, one beside it, or Debian's for this processor, which may need
# a newer libc than the system has and so runs under its own root.
link_jre() { # JDK MODULES OUTPUT ARCHITECTURE
  local options=(--strip-java-debug-attributes --no-header-files --no-man-pages
    --add-options=-XX:TieredStopAtLevel=1 --add-modules java.base,java.logging,java.management,java.xml,jdk.jfr,jdk.management,jdk.unsupported)
  local jlink=jlink host
  [[ $4 != s390x ]] || options+=(--endian big)
  [[ $1 == "$(javac -version 2>&1 | sed 's/javac \([0-9]*\).*/\1/')" ]] ||
    jlink=$(find /usr/lib/jvm -path "*$1*" -name jlink -print -quit 2>/dev/null) || true
  if [[ -n $jlink ]]; then
    "$jlink" --module-path "$2" --output "$3" "${options[@]}"
    return
  fi
  host=$(dpkg --print-architecture)
  unpack "$host" "$work/systems/jlink-$1" "${libraries[@]}" "openjdk-$1-jdk-headless" "openjdk-$1-jre-headless"
  host=$work/systems/jlink-$1
  rm -rf "$host/link"
  mkdir -p "$host"/{link,proc,tmp}
  [[ -e $host/lib64 || ! -d $host/usr/lib64 ]] || ln -s usr/lib64 "$host/lib64"
  [[ -e $host/lib ]] || ln -s usr/lib "$host/lib"
  cp -rL "$2" "$host/link/modules"
  unshare --mount --map-root-user sh -c 'mount --rbind /proc "$1/proc" && shift && exec chroot "$@"' sh "$host" "$host" \
    "$(cd "$host" && find usr/lib/jvm -name jlink -print -quit | sed 's|^|/|')" \
    --module-path /link/modules --output /link/jre "${options[@]}"
  mv "$host/link/jre" "$3"
}

compiler() { # ARCHITECTURE
  case $1 in
    amd64) echo x86_64-linux-gnu-gcc ;;
    arm64) echo aarch64-linux-gnu-gcc ;;
    ppc64el) echo powerpc64le-linux-gnu-gcc ;;
    armhf) echo arm-linux-gnueabihf-gcc ;;
    *) echo "$1-linux-gnu-gcc" ;;
  esac
}

# Puts musl into a guest, and prints the compiler for it.
musl() { # ARCHITECTURE TREE COMPILER
  local directory=$work/systems/musl-$1
  case $1 in amd64 | arm64) ;; *) return ;; esac
  unpack "$1" "$directory" musl musl-dev musl-tools
  cp "$directory"/usr/lib/*-linux-musl/libc.so "$2/lib/$(basename "$(find "$directory" -name 'ld-musl-*.so.1')")"
  sed "s|/usr/|$PWD/$directory/usr/|g" "$directory"/usr/lib/*/musl-gcc.specs >"$directory.specs"
  echo "$3 -specs=$PWD/$directory.specs"
}

# Everything that a guest's tests need, as an initial file system, once for a processor and a JDK. No compression: that costs seconds.
file_system() { # ARCHITECTURE JDK
  local image=$work/images/$1-$2.cpio tree=$work/trees/$1-$2 system=$work/systems/$1 jdk=$work/systems/$1-$2 cc musl
  [[ ! -e $image ]] || return 0
  mkdir -p "$work"/{images,trees,systems}
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp,etc,usr/bin,t/junit,t/target/test-native}
  unpack "$1" "$system" "${libraries[@]}" busybox-static util-linux libcap-ng0
  unpack "$1" "$jdk" "openjdk-$2-jdk-headless" "openjdk-$2-jre-headless"
  cp "$system/usr/bin/setpriv" "$tree/usr/bin/"
  cp "$system"/{,usr/}bin/busybox "$tree/bin/" 2>/dev/null || true
  [[ -x $tree/bin/busybox ]]
  # Each dynamic loader's path is fixed in the programs: all the names lead to one directory.
  mkdir -p "$tree/lib"
  find "$system" -name '*.so*' -not -path '*/gconv/*' -not -path '*/audit/*' \( -type f -o -type l -not -lname '*/*' \) \
    -exec cp -P -t "$tree/lib" {} +
  ln -s lib "$tree/lib64"
  ln -s ../lib "$tree/usr/lib"
  multiarch=$(basename "$(dirname "$(find "$system" -name libc.so.6 -print -quit)")")
  ln -sfn /lib "$tree/lib/$multiarch"
  link_jre "$2" "$(dirname "$(find "$jdk" -name java.base.jmod)")" "$tree/jre" "$1"
  find "$tree/jre" -name '*.debuginfo' -delete
  # Debian's configuration files are links to /etc.
  rm -rf "$tree/jre/conf"
  cp -rL "$jdk/etc/java-$2-openjdk" "$tree/jre/conf"
  cp -r target/dist/classes target/test-classes "$tree/t/target/"
  cp -r target/lib "$tree/t/target/lib"
  cp $(cat "$work/junit") "$tree/t/junit/"
  cc=$(compiler "$1")
  musl=$(musl "$1" "$tree" "$cc")
  make -s NATIVE_DIRECTORY="$tree/t/target/test-native" TEST_CC="$cc" MUSL_CC="$musl" test-native
  cp src/test/matrix/init "$tree/init"
  printf "PACKAGES='%s'\nUSERS='%s'\n" "$packages" "$users" >"$tree/packages"
  printf 'root:x:0:0:root:/:/bin/sh\nordinary:x:1000:1000:ordinary:/tmp:/bin/sh\n' >"$tree/etc/passwd"
  printf 'root:x:0:\nordinary:x:1000:\n' >"$tree/etc/group"
  (cd "$tree" && find . | sort | cpio -o -H newc -R 0:0 --quiet) >"$image"
}

# The command that is the guest, in the array qemu.
machine() { # SERIES ARCHITECTURE JDK
  local append="panic=-1 quiet rdinit=/init" memory=1280
  # Small files take a page each; huge pages have 32 MiB beside pages of 16 KiB.
  case $1:$2 in *-16k:*) memory=4096 ;; *:ppc64el) memory=2048 ;; esac
  qemu=(-smp 2 -m "$memory" -nographic -no-reboot -nodefaults -serial stdio -accel "tcg,thread=multi"
    -kernel "$work/kernels/$1-$2" -initrd "$work/images/$2-$3.cpio")
  case $2 in
    amd64) qemu=(qemu-system-x86_64 -M q35 -cpu max "${qemu[@]}" -append "console=ttyS0 $append") ;;
    arm64) qemu=(qemu-system-aarch64 -M virt -cpu "max,pauth-impdef=on" "${qemu[@]}" -append "console=ttyAMA0 $append") ;;
    armhf) qemu=(qemu-system-arm -M virt -cpu cortex-a15 "${qemu[@]}" -append "console=ttyAMA0 $append") ;;
    riscv64) qemu=(qemu-system-riscv64 -M virt "${qemu[@]}" -append "console=ttyS0 $append") ;;
    ppc64el) qemu=(qemu-system-ppc64 -M pseries -cpu power9 "${qemu[@]}" -append "console=hvc0 $append") ;;
    s390x) qemu=(qemu-system-s390x -M s390-ccw-virtio "${qemu[@]}" -append "$append") ;;
  esac
}

# Runs the machine once. To be run in a subshell, which takes the machine with it when it is terminated.
run_machine() { # LOG TIME
  TIMEFORMAT='%0R %0U'
  {
    time {
      timeout -s KILL "$deadline" "${qemu[@]}" </dev/null >"$1" 2>&1 &
      trap 'kill $!; exit 1' TERM
      # Its own errors and the end of time are seen later: the last line is missing.
      wait $! || true
    } 2>&3
  } 3>&2 2>"$2"
  sed -i 's/\r$//' "$1"
}

# Runs a guest and tells what it said; fails when a test did, or when the guest did not come to its end. A kernel that changes its own
# code while it starts can lose a race in the emulator before it comes to any test: such a guest is started once more.
guest() { # SERIES:PROCESSOR:JDK
  local name=${1//:/-} log=$work/${1//:/-}.log series architecture jdk user result passed skipped failed seconds processor outcome=0
  IFS=: read -r series architecture jdk <<<"$1"
  machine "$series" "$architecture" "$jdk"
  [[ ! -t 1 ]] || echo "$1 begins"
  run_machine "$log" "$work/$name.time"
  if ! grep -q '^USER ' "$log"; then
    { echo "$1 did not come to its tests and is started once more; its last lines:"; tail -5 "$log"; } >&2
    run_machine "$log" "$work/$name.time"
  fi
  read -r seconds processor <"$work/$name.time"
  awk -v guest="$name" -v date="$(date -u +%F)" -v seconds="$seconds" -v processor="$processor" \
    -v commit="$commit" -f src/test/matrix/summary.awk "$log" \
    >"$results/$name.txt"
  for user in $users; do
    result=$(sed -n "/^USER $user$/,/^EXIT/s/^RESULT //p" "$log")
    read -r _ passed _ skipped _ failed <<<"${result:-passed 0 skipped 0 failed -}"
    [[ $failed == 0 && $passed != 0 ]] || outcome=1
    echo "$1 $user: $(sed -n '/^SYSTEM /{s///p;q}' "$log"); ${result:-no result}; $seconds s ($processor s of processor time), see $log"
  done
  if ! grep -q '^MATRIX-END' "$log"; then
    { echo "$1 did not come to its end after $seconds s; its last lines:"; tail -5 "$log"; } >&2
    outcome=1
  fi
  return $outcome
}

mkdir -p "$work"
mvn -B -q -ntp dependency:build-classpath -Dmdep.includeScope=test -Dmdep.outputFile="$work/classpath"
tr ':' '\n' <"$work/classpath" | grep -E '/(junit|opentest4j|apiguardian)[^/]*\.jar$' >"$work/junit"
rm -rf "$work"/{images,systems,trees} "$work"/*.{log,time}

# A run replaces what it knows of its own guests and leaves the others. Their files are part of the commit, which is clean only now.
mkdir -p "$results"
commit=$(git describe --always --dirty 2>/dev/null || true)
failures=0
begin=$SECONDS
for each in "$@"; do
  IFS=: read -r series architecture jdk <<<"$each"
  kernel "$series" "$architecture"
  file_system "$architecture" "$jdk"
done
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM
guests=()
for each in "$@"; do
  while (($(jobs -rp | wc -l) >= jobs)); do
    wait -n || true
  done
  guest "$each" &
  guests+=($!)
done
for each in "${guests[@]}"; do
  wait "$each" || failures=$((failures + 1))
done
find "$results" -name '*.txt' | sort -V | xargs awk -f src/test/matrix/table.awk >"$table"
echo "matrix: $# guests in $((SECONDS - begin)) s, $jobs at a time"
((failures == 0)) || { echo "matrix: $failures of $# guests failed" >&2; exit 1; }
