# SPDX-License-Identifier: Apache-2.0
# make run    the main job: the running JDK's lib/modules, restored lazily through page faults
# make test   all tests
# FILE=...    another file for make run

MVN = mvn -B -q -ntp
JAVA = java
CLASSES = $(shell find src/main pom.xml -type f)
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
test: target/.jar
	mvn -B -ntp test

.PHONY: clean
clean:
	rm -rf target

.PHONY: check
check: target/.jar
	@echo "checks: nothing beyond the tests yet"
