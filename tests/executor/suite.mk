TEST_SUITES += test-sanitized

# The executor's C under the sanitizers. Its files but the one with main, which a fuzz target has of its own.
EXECUTOR_PARTS  := $(filter-out nsenter/executor/main.c,$(EXECUTOR_SRC))
SANITIZE_CFLAGS := -std=gnu11 -g -O1 -fno-omit-frame-pointer -Wall -Wextra -Werror -D_GNU_SOURCE -Insenter/executor \
	-fno-sanitize-recover=all -fsanitize=address,undefined

##@ The executor under ASan and UBSan

check: check-root
.PHONY: check-root
check-root: build/executor/root_test ## paths inside a hostile rootfs, and a race against who swaps them
	build/executor/root_test

fuzz: fuzz-executor
.PHONY: fuzz-executor
fuzz-executor: build/executor/plan_fuzz build/executor/root_fuzz ## the plan's decoder and the walk of paths, FUZZTIME each
	tests/executor/fuzz $(FUZZTIME)

.PHONY: test-sanitized test-sanitized-most test-sanitized-hostile
test-sanitized: test-sanitized-most test-sanitized-hostile ## the integration suite's main tests with an executor that sanitizers watch
test-sanitized-most test-sanitized-hostile: export OCI_RUNTIME := $(CURDIR)/build/sanitized/berth
test-sanitized-most test-sanitized-hostile: build/sanitized/berth deps-integration
test-sanitized-most:
	$(call suite,sanitized,-timeout 20m -parallel 4 -short -skip '$(SANITIZED_SKIP)|$(HOSTILE)' ./tests/integration -execs 30000)
test-sanitized-hostile:
	$(call suite,sanitized-hostile,-timeout 20m -parallel 4 -run '$(HOSTILE)' ./tests/integration)

# -short does what the suite does thousands of times fewer times (300 execs), but for a hostile image's tricks, which are
# the executor's to withstand.
HOSTILE := TestHostile

# What is about the executor's own size, limits that a sanitizer's memory does not fit into, and what takes long.
SANITIZED_SKIP := TestExecutorIsSmall|TestCreatedMemory|TestHarshRlimits/little_of_anything|TestRuntimeKilledAnywhere

build/executor/root_test: tests/executor/c/root_test.c tests/executor/c/tree.c $(EXECUTOR_PARTS) $(EXECUTOR_HDR) tests/executor/c/tree.h | deps-build
	@mkdir -p $(@D)
	cc $(SANITIZE_CFLAGS) -o $@ $(filter %.c,$^)

build/executor/root_fuzz: tests/executor/c/tree.c tests/executor/c/tree.h
build/executor/%_fuzz: tests/executor/c/%_fuzz.c $(EXECUTOR_PARTS) $(EXECUTOR_HDR)
	@scripts/deps build fuzz
	@mkdir -p $(@D)
	clang $(SANITIZE_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.c,$^)

# AddressSanitizer cannot be linked statically: this executor finds its libraries while the host's root is in place.
build/sanitized/executor: tests/executor/c/options.c $(EXECUTOR_SRC) $(EXECUTOR_HDR) | deps-build
	@mkdir -p $(@D)
	cc $(SANITIZE_CFLAGS) -static-libasan -static-libubsan -o $@ $(filter %.c,$^)

.PHONY: build/sanitized/berth
build/sanitized/berth: build/sanitized/executor $(PARTS)
	echo '{"Replace": {"$(CURDIR)/nsenter/bin/executor": "$(CURDIR)/build/sanitized/executor"}}' >build/sanitized/overlay.json
	$(GO_BUILD) -overlay build/sanitized/overlay.json -o $@ .
