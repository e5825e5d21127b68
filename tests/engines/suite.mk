TEST_SUITES += test-engines

.PHONY: test-engines
test-engines: bin/berth ## real engines from the distribution's packages, with berth as their runtime
	scripts/deps engines
	$(call suite,engines,-timeout 20m ./tests/engines)
