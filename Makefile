# SPDX-License-Identifier: Apache-2.0
# make run    the main job: the running JDK's lib/modules, restored lazily through page faults
# make test   all tests
# FILE=...    another file for make run

MVN = mvn -B -q -ntp
JAVA = java
CLASSES = $(shell find src/main pom.xml -type f)
# The one list of C flags is the pom's.
CFLAGS = $(shell sed -n 's|.*<native.cflags>\(.*\)</native.cflags>.*|\1|p' pom.xml)
TEST_PROGRAMS = $(patsubst src/test/c/%.c,target/test-native/%,$(filter-out %/harness_engines.c,$(wildcard src/test/c/*.c)))
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
	@touch $@

.PHONY: test
test: target/.jar $(TEST_PROGRAMS)
	mvn -B -ntp test

# The C programs that tests start: a file each.
target/test-native/%: src/test/c/%.c pom.xml
	@mkdir -p $(@D)
	gcc $(CFLAGS) -o $@ $< -ldl

.PHONY: clean
clean:
	rm -rf target

# The shim and both engines without a JVM, under the sanitizers, with the C flags of the pom. ASLR is off for TSan, which does not
# know the address layouts of newer kernels.
HARNESS = src/test/c/harness_engines.c $(filter-out %/uffd_jni.c,$(wildcard src/main/c/*.c))
NO_ASLR = $(shell command -v setarch >/dev/null && setarch -R true 2>/dev/null && echo setarch -R)
SANITIZERS = thread address,undefined

.PHONY: sanitize
sanitize:
	@mkdir -p target/test-native
	@for each in $(SANITIZERS); do \
	  echo "engines under -fsanitize=$$each"; \
	  gcc $(CFLAGS) -O1 -g -fno-omit-frame-pointer -fsanitize=$$each -fno-sanitize-recover=all -Isrc/main/c $(HARNESS) \
	      -o target/test-native/harness-$$each -pthread && \
	  timeout -s KILL 300 $(NO_ASLR) target/test-native/harness-$$each || exit 1; \
	done

# What holds beyond the tests.
.PHONY: check
check: sanitize
