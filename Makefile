# SPDX-License-Identifier: Apache-2.0
# make run    the main job: the running JDK's lib/modules, or FILE=..., restored lazily through page faults
# make test   all tests
# make stress the stress test for a minute with each kind of handler
# make bench  what a page fault costs, in Java and in C, and everything else in docs/performance.md; make bench-full: more of it
# make matrix the tests under real kernels in virtual machines; make matrix-full: under more of them; make matrix-short: fewer tests
# make docs   the documentation of the API, in target/reports/apidocs
# make dist   what is given to others, in target/dist; needs cross compilers, which it installs for root on Debian and Ubuntu

MVN = mvn -B -q -ntp
JAVA = java
SHELL = /bin/bash -o pipefail
CLASSES = $(shell find src/main pom.xml -type f)
# The one list of C flags is the pom's.
CFLAGS = $(shell sed -n 's|.*<native.cflags>\(.*\)</native.cflags>.*|\1|p' pom.xml)
# Others for the guests of the matrix.
TEST_CC = gcc
MUSL_CC = musl-gcc
NATIVE_DIRECTORY = target/test-native
TEST_PROGRAMS = $(patsubst src/test/c/%.c,$(NATIVE_DIRECTORY)/%,$(filter-out %/harness_engines.c %/harness_snapshots.c src/test/c/test_%.c,$(wildcard src/test/c/*.c)))
.DEFAULT_GOAL = help

.PHONY: help
help:
	@sed -n '/^# make/s/^# //p' Makefile

.PHONY: run
run: target/.jar
	@$(JAVA) -jar target/userfaultfd-*.jar demo $(FILE)

.PHONY: jar
jar: target/.jar

target/.jar: $(CLASSES) LICENSE
	@rm -f target/userfaultfd-*.jar
	$(MVN) package -Dmaven.test.skip
	@echo "native library of this processor only ($$(ls target/classes/natives)); 'make dist' builds that of all"
	@touch $@

# What the tests need in C: a program a file, the native library of the conformance tests, and for LD_PRELOAD a library that makes
# this kernel look newer or older and one that notes what is made durable.
JDK_INCLUDE = $(shell dirname $$(dirname $$(readlink -f $$(command -v javac))))/include
TEST_FAULTS = $(addprefix src/test/c/,test_jobs.c test_memory.c test_rights.c test_stress.c test_watchdog.c)
TEST_NATIVE = $(TEST_PROGRAMS) $(addprefix $(NATIVE_DIRECTORY)/,libtest_faults.so libtest_other_kernel.so libtest_durability.so dlopen_library_musl)

$(NATIVE_DIRECTORY)/libtest_faults.so: $(TEST_FAULTS) src/test/c/test_faults.h
	@mkdir -p $(@D)
	$(TEST_CC) $(CFLAGS) -I$(JDK_INCLUDE) -I$(JDK_INCLUDE)/linux -shared -pthread -Wl,--no-undefined -o $@ $(TEST_FAULTS)

$(NATIVE_DIRECTORY)/libtest_other_kernel.so $(NATIVE_DIRECTORY)/libtest_durability.so: $(NATIVE_DIRECTORY)/lib%.so: src/test/c/%.c
	@mkdir -p $(@D)
	$(TEST_CC) $(CFLAGS) -shared -Wl,--no-undefined -o $@ $< -ldl

# Not made without a compiler for musl: its test is skipped and says so.
$(NATIVE_DIRECTORY)/dlopen_library_musl: src/test/c/dlopen_library.c pom.xml
	@mkdir -p $(@D)
	@if command -v '$(firstword $(MUSL_CC))' >/dev/null; then \
	  echo '$(MUSL_CC) -o $@ $<'; $(MUSL_CC) $(CFLAGS) -o $@ $<; \
	fi

$(NATIVE_DIRECTORY)/%: src/test/c/%.c pom.xml
	@mkdir -p $(@D)
	$(TEST_CC) $(CFLAGS) -o $@ $< -ldl

.PHONY: test-native
test-native: $(TEST_NATIVE)

# Programs that tests play with; a test that lacks one is skipped and says so.
.PHONY: test-programs
test-programs:
	@packages=; \
	for each in lz4:lz4 redis-server:redis-server zstd:zstd musl-gcc:musl-tools; do \
	  command -v $${each%:*} >/dev/null || packages="$$packages $${each#*:}"; \
	done; \
	[ -n "$$packages" ] || exit 0; \
	install="apt-get install -y --no-install-recommends$$packages"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "some tests will be skipped; they need: $$install" >&2; exit 0; \
	fi; \
	echo "$$install"; apt-get update -q && DEBIAN_FRONTEND=noninteractive $$install || \
	  echo "some tests will be skipped, because this failed: $$install" >&2

.PHONY: test
test: target/.jar test-programs $(TEST_NATIVE)
	mvn -B -ntp test $(TEST_OPTIONS) 2>&1 | tee target/test.log
	@! grep -E 'WARNING in native method|FATAL ERROR in native method|WARNING: JNI' target/test.log

.PHONY: stress
stress: target/.jar $(TEST_NATIVE)
	mvn -B -ntp test -Dtest=StressTest -Dstress.seconds=60

.PHONY: clean
clean:
	rm -rf target

# The shim and both engines without a JVM, under the sanitizers, with the C flags of the pom. ASLR is off for TSan, which does not
# know the address layouts of newer kernels.
HARNESSES = engines snapshots
# The harness of snapshots makes the moments long in which the protocol of write-protection could go wrong.
MOMENTS = -DUFFD_MOMENT=harness_moment
SHIM = $(filter-out %/uffd_jni.c,$(wildcard src/main/c/*.c))
NO_ASLR = $(shell command -v setarch >/dev/null && setarch -R true 2>/dev/null && echo setarch -R)
SANITIZERS = thread address,undefined

.PHONY: sanitize
sanitize:
	@mkdir -p target/test-native
	@for each in $(SANITIZERS); do for harness in $(HARNESSES); do \
	  echo "$$harness under -fsanitize=$$each"; \
	  gcc $(CFLAGS) $$([ $$harness = engines ] || echo $(MOMENTS)) -O1 -g -fno-omit-frame-pointer -fsanitize=$$each \
	      -fno-sanitize-recover=all -Isrc/main/c src/test/c/harness_$$harness.c $(SHIM) -o target/test-native/harness-$$harness-$$each -pthread && \
	  timeout -s KILL 300 $(NO_ASLR) target/test-native/harness-$$harness-$$each || exit 1; \
	done; done

# The benchmarks, in a jar of their own: Java beside C, alternately in one run, and JMH. 'make bench' takes some five minutes on a
# quiet machine and ends with docs/performance.md and its pictures; what was measured stays in target/bench/results. 'make bench-tiny'
# shows only that everything runs, and writes below target/bench. BENCH_FILE is read from end to end, lazily and not.
BENCH_FILE = target/bench/gigabyte
BENCH_RESULTS = target/bench/results
BENCH_CLASSES = target/bench/userfaultfd-bench.jar:target/bench/lib/*:$$(echo target/userfaultfd-*.jar)
BENCH_JAVA = timeout -s KILL $(BENCH_DEADLINE) $(JAVA) -Djava.awt.headless=true -cp "$(BENCH_CLASSES)"
BENCH_DEADLINE = 1200

.PHONY: bench bench-full bench-tiny
bench: BENCH_SCALE = quick
bench-full: BENCH_SCALE = full
bench-full: BENCH_DEADLINE = 21600
bench-tiny: BENCH_SCALE = tiny
bench-tiny: BENCH_FILE = target/bench/small
bench-tiny: BENCH_RESULTS = target/bench/tiny
bench bench-full: $(BENCH_FILE)
bench-tiny: target/bench/small
bench bench-full bench-tiny: target/bench/.jar target/bench/bench_faults
	@mkdir -p $(BENCH_RESULTS)
	@[ $@ != bench-tiny ] || cp docs/performance.md target/bench
	@echo "what is done so far is in $(BENCH_RESULTS)/log"
	@$(BENCH_JAVA) -Xmx2g -XX:MaxDirectMemorySize=3g io.github.userfaultfd.bench.Bench $(BENCH_SCALE) target/bench/bench_faults \
	    $(BENCH_FILE) $(BENCH_RESULTS) 'make $@' >$(BENCH_RESULTS)/log 2>&1 || { tail -n 40 $(BENCH_RESULTS)/log; exit 1; }
	$(BENCH_JAVA) io.github.userfaultfd.bench.Report $(BENCH_RESULTS) $(if $(filter bench-tiny,$@),target/bench,docs)/performance.md

# The document again from what was measured before.
.PHONY: bench-docs
bench-docs: target/bench/.jar
	$(BENCH_JAVA) io.github.userfaultfd.bench.Report $(BENCH_RESULTS) docs/performance.md

target/bench/.jar: target/.jar src/jmh/pom.xml $(wildcard src/jmh/java/io/github/userfaultfd/bench/*.java)
	$(MVN) -f src/jmh/pom.xml package -Dlibrary=$$(basename target/userfaultfd-*.jar)
	@touch $@

target/bench/bench_faults: src/jmh/c/bench_faults.c pom.xml
	@mkdir -p $(@D)
	gcc $(CFLAGS) -o $@ $< -pthread

# What snapshots cost beside memcpy and fork(): 8 GiB of memory and 1 GiB more for a while.
SNAPSHOT_SIZES = 1 4 8
SNAPSHOT_ROUNDS = 7

.PHONY: bench-snapshots
bench-snapshots: BENCH_DEADLINE = 1800
bench-snapshots: target/bench/.jar target/bench/bench_snapshots
	$(BENCH_JAVA) -Xmx256m io.github.userfaultfd.bench.SnapshotCosts target/bench/bench_snapshots docs $(SNAPSHOT_ROUNDS) $(SNAPSHOT_SIZES)

target/bench/bench_snapshots: src/jmh/c/bench_snapshots.c pom.xml
	@mkdir -p $(@D)
	gcc $(CFLAGS) -o $@ $<

# Faults resolved by another process, beside C, and a gigabyte restored from a compressed file.
REMOTE_BYTES = 1073741824
REMOTE_ROUNDS = 7

.PHONY: bench-remote
bench-remote: BENCH_DEADLINE = 1800
bench-remote: target/bench/.jar target/bench/bench_process
	$(BENCH_JAVA) -Xmx256m io.github.userfaultfd.bench.RemoteCosts target/bench/bench_process target/bench $(REMOTE_BYTES) $(REMOTE_ROUNDS)

target/bench/bench_process: src/jmh/c/bench_process.c pom.xml
	@mkdir -p $(@D)
	gcc $(CFLAGS) -o $@ $<

# Written out at once: later it would disturb the measurements.
target/bench/gigabyte target/bench/small:
	@mkdir -p $(@D)
	head -c $(if $(filter %/small,$@),67108864,1073741824) /dev/urandom > $@
	sync $@

# Inline faults in Java beside C, as ratios; and that the same fails with a library whose copies are slow, so that it is known to
# notice.
.PHONY: bench-guard
bench-guard: BENCH_DEADLINE = 120
bench-guard: target/bench/.jar target/bench/bench_faults target/bench/slow/libuserfaultfd_jni.so
	$(BENCH_JAVA) io.github.userfaultfd.bench.Guard target/bench/bench_faults
	@echo "the same with slow copies, which has to fail:"
	@$(BENCH_JAVA) -Duserfaultfd.library.path=target/bench/slow io.github.userfaultfd.bench.Guard target/bench/bench_faults; \
	  [ $$? = 3 ] || { echo "the guard did not notice a slow library" >&2; exit 1; }

target/bench/slow/libuserfaultfd_jni.so: src/jmh/c/slow_copy.c $(wildcard src/main/c/*) target/.jar
	@mkdir -p $(@D)
	gcc $(CFLAGS) -Isrc/main/c -Itarget/native/include -I$(JDK_INCLUDE) -I$(JDK_INCLUDE)/linux -shared -pthread \
	    -Wl,-z,nodelete -Wl,--wrap=uffd_copy -o $@ $< $(wildcard src/main/c/*.c)

.PHONY: docs
docs: target/.jar
	$(MVN) compile javadoc:javadoc

# Each of these compiles one processor's library; the pom names them. There is no compiler for loongarch64 in Debian 12.
COMPILERS = aarch64-linux-gnu arm-linux-gnueabihf powerpc64le-linux-gnu riscv64-linux-gnu s390x-linux-gnu x86_64-linux-gnu

.PHONY: compilers
compilers:
	@packages=; \
	for each in $(COMPILERS); do \
	  command -v $$each-gcc >/dev/null || packages="$$packages gcc-$$(echo $$each | tr _ -)"; \
	done; \
	command -v unzip >/dev/null || packages="$$packages unzip"; \
	[ -n "$$packages" ] || exit 0; \
	install="apt-get install -y -o APT::Install-Recommends=true$$packages"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "missing: $$install" >&2; exit 1; \
	fi; \
	echo "$$install"; apt-get update -q && DEBIAN_FRONTEND=noninteractive $$install

.PHONY: dist
dist: compilers
	umask 022 && $(MVN) -Pdist clean package -Dmaven.test.skip
	@cd target/dist && sha256sum userfaultfd-* bom.* >SHA256SUMS && cat SHA256SUMS

# What is given to others: its contents, a stranger's program with it, and that a second build gives the same.
NEWER_JAVA = $(wildcard /usr/lib/jvm/*-25-*/bin/java)
CONSUMER_JAVA = $(shell readlink -f $$(command -v java)) $(NEWER_JAVA)

.PHONY: dist-check
dist-check: dist $(TEST_NATIVE)
	src/test/dist/contents.sh
	$(MVN) test -Dtest=LibrarySymbolsTest -Dtest.natives=$(CURDIR)/target/dist/classes/natives
	$(MVN) -Pdist install -Dmaven.test.skip
	@[ -n "$(NEWER_JAVA)" ] || echo "the consumer is tried with one JDK only: there is no JDK 25 in /usr/lib/jvm"
	src/test/consumer/check.sh $(CONSUMER_JAVA)

.PHONY: reproducible
reproducible: compilers
	src/test/dist/reproducible.sh

# That whoever uses the newest tagged version can use this one.
.PHONY: api-check
api-check: target/.jar
	src/test/dist/api.sh

# The tests under real kernels and on other processors, in virtual machines. Everything is downloaded from the archive that the
# system's own apt uses, once; without a network it fails and says so. Slow processors first, so that none is left alone at the end.
# The short one leaves out the tests that start many JVMs or repeat much, and the ordinary user.
MATRIX = 7.2:riscv64:25 7.3:arm64:17 5.10:amd64:17 6.12:amd64:17 7.3:amd64:25
MATRIX_FULL = 7.2:s390x:17 6.1:ppc64el:17 7.3-16k:arm64:17 5.10:arm64:17 6.1:arm64:17 6.12:arm64:25 $(MATRIX) \
  6.1:amd64:25 6.18:amd64:17 7.0:amd64:17 7.2:amd64:25
MATRIX_SHORT_TESTS = FeatureTest UffdBuilderTest UffdTest internal.LibcTest memory paging.KernelAccessTest paging.PagerFailureTest \
  snapshot.LiveSnapshotTest $(addprefix conformance.,ApiTest BehaviourOfSystemsTest ErrorsTest MinorTest MmapChangingTest MoveTest \
  PoisonTest RegisterIoctlsTest RwpTest SigbusTest SigbusWpTest WpForkTest WpUnpopulatedTest ZeropageTest)
MATRIX_OF_matrix = $(MATRIX)
MATRIX_OF_matrix-full = $(MATRIX_FULL)
MATRIX_OF_matrix-short = $(filter-out 6.12:%,$(MATRIX))
matrix-short: export MATRIX_PACKAGES = $(MATRIX_SHORT_TESTS)
matrix-short: export MATRIX_USERS = root
matrix-short: export MATRIX_DEADLINE = 600
matrix-short: export MATRIX_RESULTS = target/matrix-short
matrix-short: export MATRIX_TABLE = target/matrix-short.md

.PHONY: qemu
qemu:
	@packages=; \
	for each in x86_64:x86 aarch64:arm riscv64:misc s390x:misc ppc64:ppc; do \
	  command -v qemu-system-$${each%:*} >/dev/null || packages="$$packages qemu-system-$${each#*:}"; \
	done; \
	command -v cpio >/dev/null || packages="$$packages cpio"; \
	[ -n "$$packages" ] || exit 0; \
	install="apt-get install -y --no-install-recommends$$packages"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "missing: $$install" >&2; exit 1; fi; \
	echo "$$install"; apt-get update -q && DEBIAN_FRONTEND=noninteractive $$install

.PHONY: matrix matrix-full matrix-short
matrix matrix-full matrix-short: qemu dist target/.jar
	$(MVN) test-compile
	src/test/matrix/matrix.sh $(MATRIX_OF_$@)

# Whether what is not marked as nullable never is (JSpecify, NullAway).
.PHONY: nullness
nullness:
	$(MVN) -P nullness compiler:compile@default-compile

# What holds beyond the tests.
.PHONY: check
check: nullness sanitize dist-check reproducible api-check bench-guard matrix-short
