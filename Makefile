# berth: build, try, check, test, install. `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := bin/berth

VERSION := 0.1.0
COMMIT  := $(shell git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)
PREFIX  ?= /usr/local
DESTDIR ?=

GO      ?= go
# Help looks the same without text/template, which is a ninth of the program (urfave/cli's own tag).
TAGS    := netgo osusergo urfave_cli_no_template
# Calls are not inlined but where it shows, in Go's runtime and what it is made of: a command runs each line about once,
# and its time is the pages that it touches. A tenth of the program less; docs/performance.md has the figures.
GCFLAGS := -gcflags=all=-l $(addprefix -gcflags=,$(addsuffix =,runtime runtime/... internal/... sync/... math/... slices unicode/utf8))
LDFLAGS := -s -w -X berth/cli.version=$(VERSION) -X berth/cli.commit=$(COMMIT)
# The program begins at entry/entry_*.s, where there is one for the processor (docs/decisions/012-one-processor.md).
ENTRY    = $(if $(wildcard entry/entry_$(shell $(GO) env GOARCH).s),-E berth/entry.entry)

# Who writes the seccomp programs: libseccomp, in a program of its own inside berth that runs where none is cached, or with
# SECCOMP=berth berth itself, which then has nothing of libseccomp but its tables (docs/decisions/018-generator.md).
SECCOMP  ?= libseccomp
GO_BUILD  = CGO_ENABLED=0 $(GO) build -trimpath -tags "$(TAGS)$(if $(filter berth,$(SECCOMP)), ownseccomp)" $(GCFLAGS) \
	-ldflags '$(LDFLAGS) $(ENTRY)'
$(if $(filter-out berth libseccomp,$(SECCOMP)),$(error SECCOMP=$(SECCOMP): use libseccomp, which is the default, or berth))

# What berth embeds, beside its sources.
PARTS     = nsenter/bin/executor $(if $(filter libseccomp,$(SECCOMP)),seccomp/embedded.go)

# The executor: one compiler call over all of its files, so that the linker drops what is not called.
# musl makes it small; glibc's headers stand last in line, for the kernel's own (linux/*.h) that musl does not bring.
EXECUTOR_SRC    := $(wildcard nsenter/executor/*.c)
EXECUTOR_HDR    := $(wildcard nsenter/executor/*.h)
EXECUTOR_CC      = $(shell command -v musl-gcc || echo cc)
EXECUTOR_CFLAGS  = -std=gnu11 -Os -Wall -Wextra -Werror -Wswitch-enum -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fstack-protector-strong -fstack-clash-protection $(EXECUTOR_CFLAGS_$(shell uname -m)) -D_GNU_SOURCE \
	-idirafter /usr/include -idirafter /usr/include/$(shell cc -print-multiarch)
EXECUTOR_CFLAGS_x86_64  := -fcf-protection
EXECUTOR_CFLAGS_aarch64 := -mbranch-protection=standard
EXECUTOR_LDFLAGS := -static -s -Wl,--gc-sections,-z,noexecstack,-z,relro,-z,now,--build-id=none

# The seccomp generator: what is not for another build, nor a test.
GENERATOR_SRC := $(filter-out %_test.go seccomp/embedded.go,$(wildcard seccomp/*.go seccomp/libseccomp/*.go seccomp/generator/*.go)) \
	$(wildcard seccomp/packed/*.go seccomp/generator/pack/*.go)

# Packages whose tests need neither root nor the built binary: all but the suites that drive whole programs.
UNIT_PACKAGES = $(shell $(GO) list ./... | grep -vE '/tests/(integration|conformance|engines|kubernetes|bench|faults|vm/session)(/|$$)')

# What `make test` runs after the build, the checks and the fuzzing, in this order. A folder under tests/ adds its
# own by a suite.mk: `TEST_SUITES += test-NAME`, the target itself, and its rows in scripts/deps. The target hands
# `go test -json` (or a file in that form) to tests/tally under its name, so that it is counted.
TEST_SUITES := test-integration test-integration-v1 test-integration-v2
RESULTS     := build/results

include $(sort $(wildcard tests/*/suite.mk))

##@ Build

.PHONY: bin/berth
bin/berth: $(PARTS) ## the program: one static file, executor and seccomp generator inside (also plain `make`)
	$(GO_BUILD) -o $@ .

nsenter/bin/executor: $(EXECUTOR_SRC) $(EXECUTOR_HDR) Makefile | deps-build
	$(EXECUTOR_CC) $(EXECUTOR_CFLAGS) $(EXECUTOR_LDFLAGS) -o $@ $(EXECUTOR_SRC)

# The seccomp generator, linked statically with libseccomp, packed.
seccomp/bin/generator: $(GENERATOR_SRC) go.mod Makefile | deps-build
	@scripts/deps build libseccomp
	CGO_ENABLED=1 $(GO) build -trimpath -tags "$(TAGS) libseccomp" -gcflags=all=-l \
		-ldflags '-s -w -linkmode external -extldflags "-static -Wl,--gc-sections"' -o build/seccomp/generator ./seccomp/generator
	$(GO) run ./seccomp/generator/pack build/seccomp/generator $@

# Embeds it: not a file of the repository, as it cannot be compiled before the generator is there.
seccomp/embedded.go: seccomp/bin/embedded.go.in seccomp/bin/generator
	cp $< $@

.PHONY: generate
generate: ## write again what is generated and committed (the executor's header)
	$(GO) generate ./...

.PHONY: install
install: bin/berth ## into $(DESTDIR)$(PREFIX): bin, share/man/man8
	install -D -m 0755 bin/berth $(DESTDIR)$(PREFIX)/bin/berth
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 docs/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8

.PHONY: clean
clean: ## remove what make built (not what it installed)
	rm -rf bin build nsenter/bin/executor seccomp/bin/generator seccomp/embedded.go

##@ Try

.PHONY: run
run: deps-run bin/berth ## a first container: makes a bundle and shows what is inside
	scripts/first-run

##@ Test

.PHONY: test
test: ## everything, dependencies first: build, checks, unit tests, fuzzing, and all suites
	scripts/deps build check fuzz integration
	$(MAKE) bin/berth
	$(MAKE) check
	$(MAKE) fuzz
	rm -rf $(RESULTS)
	$(MAKE) --keep-going $(TEST_SUITES) || failed=1; \
	$(GO) run ./tests/tally -total $(RESULTS) && [ -z "$${failed-}" ]

.PHONY: test-integration
test-integration: deps-integration $(if $(OCI_RUNTIME),,bin/berth) ## the integration suite (as root), of $$OCI_RUNTIME or bin/berth
	$(call suite,integration,-timeout 20m -parallel 4 ./tests/integration)

# The same where the mount namespace of the tests shows one kind of cgroups alone: of a host that has both. What is done
# thousands of times (execs, races, kills) is done fewer times there (-short).
HYBRID := $(wildcard /sys/fs/cgroup/unified)
.PHONY: test-integration-v1 test-integration-v2
test-integration-v1 test-integration-v2: test-integration-%: deps-integration $(if $(OCI_RUNTIME),,bin/berth)
	$(if $(HYBRID),$(call suite,integration-$*,-timeout 20m -parallel 4 -short ./tests/integration),@echo "suite integration-$*: left out, as this host has but one kind of cgroups")
test-integration-v1: export BERTH_TEST_CGROUPS = v1
test-integration-v2: export BERTH_TEST_CGROUPS = v2

# $(call suite,NAME,ARGUMENTS of go test): runs it uncached, keeps its results and prints failures, skips, counts.
suite = @mkdir -p $(RESULTS); \
	echo "suite $(1): $${OCI_RUNTIME:-bin/berth}"; \
	$(GO) test -count 1 -json $(2) | $(GO) run ./tests/tally -suite $(1) -results $(RESULTS)

.PHONY: fuzz
fuzz: deps-build $(PARTS) ## every fuzz target, FUZZTIME each (default 10s)
	scripts/fuzz $(FUZZTIME)

FUZZTIME ?= 10s

##@ Check (no root needed, under a minute)

.PHONY: check
check: deps-check $(PARTS) check-format check-generated check-go check-c check-unit ## all of these

.PHONY: check-format
check-format: ## gofmt and clang-format change nothing
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	[ -z "$$unformatted" ] || { echo "not as gofmt writes it (run gofmt -w):" $$unformatted; exit 1; }
	@files=$$(git ls-files --cached --others --exclude-standard '*.c' '*.h'); \
	files=$$(grep -L 'DO NOT EDIT' $$files /dev/null || true); \
	[ -z "$$files" ] || clang-format --dry-run -Werror $$files

.PHONY: check-generated
check-generated: ## what make generate writes is what is committed
	$(GO) run ./libcontainer/plan/gen -dir libcontainer/plan -check

.PHONY: check-go
check-go: build/staticcheck | $(PARTS) ## go vet, staticcheck (its version is pinned in scripts/lint)
	$(GO) vet -tags "$(TAGS)" ./...
	$(GO) vet -tags "$(TAGS) libseccomp" ./seccomp/...
	$(GO) vet -tags "$(TAGS) ownseccomp" ./seccomp/...
	build/staticcheck -tags "$(TAGS)" ./...
	build/staticcheck -tags "$(TAGS) libseccomp" ./seccomp/...
	build/staticcheck -tags "$(TAGS) ownseccomp" ./seccomp/...

build/staticcheck: scripts/lint/go.mod scripts/lint/go.sum | deps-build
	$(GO) build -C scripts/lint -o ../../build/staticcheck honnef.co/go/tools/cmd/staticcheck

.PHONY: check-c
check-c: | deps-build ## the executor compiles with each compiler that is here, every warning an error
	@for cc in musl-gcc gcc clang; do \
		command -v $$cc >/dev/null && [ -n "$(EXECUTOR_SRC)" ] || continue; \
		echo "$$cc -fsyntax-only nsenter/executor/*.c"; \
		$$cc $(EXECUTOR_CFLAGS) -fsyntax-only $(EXECUTOR_SRC); \
	done

.PHONY: check-unit
check-unit: | deps-build $(PARTS) ## unit and golden tests, the table of imports
	$(GO) test -tags "$(TAGS)" $(UNIT_PACKAGES)
	$(GO) test -tags "$(TAGS) libseccomp" ./seccomp/...
	$(GO) test -tags "$(TAGS) ownseccomp" ./seccomp/...

##@ More

# deps-GROUP installs what a group of targets needs; quick when it is all there.
.PHONY: deps-build deps-run deps-check deps-integration
deps-build deps-run deps-check deps-integration: deps-%:
	@scripts/deps build $*

.PHONY: help
help: ## this list
	@awk '/^##@ / { print "\n" substr($$0, 5) } \
		/^[a-z\/-]+:.*## / { name = $$1; sub(/:.*/, "", name); sub(/.*## /, ""); printf "  %-18s %s\n", name, $$0 }' $(MAKEFILE_LIST) | sed 's/\$$\$$/$$/g'
