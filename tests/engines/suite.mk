TEST_SUITES += test-engines

.PHONY: test-engines
test-engines: bin/berth ## real engines from the distribution's packages, with berth as their runtime
	scripts/deps build engines
	cd tests/engines/cri && $(GO) build -o ../../../build/cri .
	@rm -f build/engines.txt
	$(call suite,engines,-timeout 25m -skip '^TestSystemd' ./tests/engines) || failed=1; cat build/engines.txt; [ -z "$${failed-}" ]
test-engines: export ENGINES_TABLE = $(CURDIR)/build/engines.txt
