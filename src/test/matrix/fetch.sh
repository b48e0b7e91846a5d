#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fetch.sh ARCHITECTURE PATTERN DIRECTORY
# Downloads Debian packages whose name matches the extended regular expression PATTERN, from every suite that the matrix uses, into
# DIRECTORY, unless one is there already; of several versions the newest that downloads. Prints the file. An apt configuration of its
# own, so that nothing of the system is touched; the mirror is the system's own; apt checks the lists' signatures, and the sums in them
# are those of the packages.
set -euo pipefail

architecture=$1 pattern=$2 directory=$3
cache=${MATRIX_CACHE:?where downloads are kept}
apt=$cache/apt

site() { # SUFFIX: the address of the system's own mirror
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort -u | grep -E "$1/?$" | head -1 ||
    { echo "no apt source of this system ends in $1" >&2; return 1; }
}

options=(-o "Dir::Etc=$apt/etc" -o "Dir::Etc::sourcelist=$apt/etc/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
  -o "Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d" -o "Dir::State=$apt/state" -o "Dir::State::status=$apt/status"
  -o "Dir::Cache=$apt/cache" -o "APT::Architecture=amd64"
  -o "APT::Architectures::=amd64" -o "APT::Architectures::=arm64" -o "APT::Architectures::=riscv64"
  -o "APT::Architectures::=ppc64el" -o "APT::Architectures::=s390x" -o "APT::Architectures::=armhf"
  -o "Acquire::Languages=none" -o "Acquire::Check-Valid-Until=false" -o "APT::Sandbox::User=root")

lists() {
  local debian security
  debian=$(site /debian) security=$(site /debian-security)
  mkdir -p "$apt"/{etc/preferences.d,state/lists/partial,cache/archives/partial}
  : >"$apt/status"
  for suite in bullseye bookworm bookworm-backports trixie trixie-backports sid experimental; do
    local these=amd64,arm64
    case $suite in
      bookworm) these=amd64,arm64,ppc64el,s390x,armhf ;;
      sid) these=amd64,arm64,riscv64,ppc64el,s390x ;;
    esac
    echo "deb [arch=$these signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $debian $suite main"
  done >"$apt/etc/sources.list"
  for suite in bullseye bookworm trixie; do
    echo "deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $security $suite-security main"
  done >>"$apt/etc/sources.list"
  apt-get "${options[@]}" -q -o APT::Update::Error-Mode=any update >"$apt/update.log" 2>&1 || {
    cat "$apt/update.log" >&2
    echo "matrix: the package lists cannot be had from $debian and $security: no network, or no such archive?" >&2
    return 1
  }
  apt-cache "${options[@]}" dumpavail |
    awk '/^Package:/ {name = $2} /^Architecture:/ {a = $2} /^Version:/ {version = $2} /^Filename:/ {file = $2} /^SHA256:/ {sum = $2}
      /^$/ {print version, name, a, sum, file}' |
    sort -u >"$apt/available.new"
  printf '%s\n' "$debian" "$security" >"$apt/sites"
  mv "$apt/available.new" "$apt/available"
}

mkdir -p "$directory"
have=$(find "$directory" -name '*.deb' -print -quit)
if [[ -n $have ]]; then
  echo "$have"
  exit
fi
mkdir -p "$apt"
exec 9>"$apt/lock"
flock 9
# Lists that are kept get old: what they name may be gone from the archive.
for attempt in kept new; do
  [[ $attempt == kept && -s $apt/available ]] || lists
  awk -v architecture="$architecture" -v pattern="^($pattern)\$" '
    ($3 == architecture || $3 == "all") && $2 ~ pattern {print $1, $4, $5}' "$apt/available" |
    sort -u -k1,1Vr >"$directory/candidates"
  while read -r _ sum file; do
    while read -r site; do
      if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file "$site/$file" "$directory/part" \
        "SHA256:$sum" >"$directory/log" 2>&1; then
        mv "$directory/part" "$directory/$(basename "$file")"
        echo "$directory/$(basename "$file")"
        exit
      fi
    done <"$apt/sites"
  done <"$directory/candidates"
done
echo "matrix: no package for $architecture that matches $pattern: $(wc -l <"$directory/candidates") known, none could be downloaded" \
  "with the sum in its list, see $directory" >&2
[[ ! -e $directory/log ]] || cat "$directory/log" >&2
exit 1
