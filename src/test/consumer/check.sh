#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh JAVA...
# Builds the consumer with the artifact that was installed, and with the drop-in jar alone, and runs it by each JAVA on the class
# path and on the module path. What is printed has to be right to the letter: no warning, no logging library's word.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
output=$root/target/consumer
version=$(sed -n '0,/<version>/s|.*<version>\(.*\)</version>.*|\1|p' "$root/pom.xml")
dropin=$root/target/dist/userfaultfd-$version-all.jar

rm -rf "$output"
mvn -B -q -ntp -Doutput="$output" -Duserfaultfd.version="$version" process-classes
cmp "$output/lib/userfaultfd-$version.jar" "$root/target/dist/userfaultfd-$version.jar"
ls "$output/lib"
mkdir "$output/dropin-classes"
javac -Xlint:all -Werror --release 17 -d "$output/dropin-classes" -p "$dropin" $(find src -name '*.java')
head -c 1000003 /dev/urandom >"$output/file"

failures=0
expect() { # EXPECTED-OUTPUT(a regular expression for all of it) EXIT COMMAND...
  local expected=$1 exit=$2 found status=0
  shift 2
  found=$("$@" 2>&1) || status=$?
  if [[ $status != "$exit" || ! $found =~ ^$expected$ ]]; then
    printf 'FAILED: %s\nexit %s, expected %s\n--- found\n%s\n--- expected\n%s\n' "$*" "$status" "$exit" "$found" "$expected"
    failures=$((failures + 1))
  fi
}
ok='equal true, by faults true, module'
named="$ok io\\.github\\.userfaultfd"
warned='WARNING: A restricted method in java\.lang\.System has been called.*--enable-native-access'

for java in "$@"; do
  feature=$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')
  echo "JDK $feature: $java"
  for each in "$output/classes $output/lib/*" "$output/dropin-classes $dropin"; do
    read -r classes jars <<<"$each"
    unnamed=() module=()
    if ((feature >= 24)); then
      unnamed=(--enable-native-access=ALL-UNNAMED) module=(--enable-native-access=io.github.userfaultfd)
    fi
    path=(-p "$classes:${jars%/\*}" -m com.example.consumer/com.example.Main "$output/file")
    expect "$ok none" 0 "$java" ${unnamed[@]+"${unnamed[@]}"} -cp "$classes:$jars" com.example.Main "$output/file"
    expect "$named" 0 "$java" ${module[@]+"${module[@]}"} "${path[@]}"
    if ((feature >= 24)); then
      expect "$warned=io\\.github\\.userfaultfd .*$named" 0 "$java" "${path[@]}"
      expect ".*$warned=ALL-UNNAMED .*$ok none" 0 "$java" -cp "$classes:$jars" com.example.Main "$output/file"
      expect '.*UnsatisfiedLinkError: userfaultfd: this JVM was told to deny native code; allow it with --enable-native-access=io\.github\.userfaultfd .*' \
        1 "$java" --illegal-native-access=deny "${path[@]}"
    fi
  done
  # As a program of its own, and with the two jars on one class path: the first one's classes and resources serve.
  expect '.*SHA-256 as the file.s: [0-9a-f]+' 0 "$java" -jar "$dropin" demo "$output/file"
  expect "$ok none" 0 "$java" ${unnamed[@]+"${unnamed[@]}"} -cp "$output/classes:$dropin:$output/lib/*" com.example.Main "$output/file"
  expect "$ok none" 0 "$java" ${unnamed[@]+"${unnamed[@]}"} -cp "$output/classes:$output/lib/*:$dropin" com.example.Main "$output/file"
  "$java" ${unnamed[@]+"${unnamed[@]}"} -cp "$output/classes:$output/lib/*" com.example.Main "$output/file" time | tail -1
done
((failures == 0)) || { echo "consumer: $failures failures"; exit 1; }
echo "consumer: all right"
