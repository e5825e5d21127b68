TEST_SUITES += test-bench

##@ Measure

.PHONY: bench
bench: bin/berth ## measure berth against crun, runc, PEERS="NAME=PATH …" and the floor (docs/performance.md)
	scripts/deps build bench
	$(GO) build -o build/bench/bench ./tests/bench
	build/bench/bench -peers "$(PEERS)" $(BENCH_FLAGS)

.PHONY: bench-docs
bench-docs: ## write the figures of the last `make bench` into docs/performance.md
	$(GO) run ./tests/bench -docs docs

.PHONY: test-bench
test-bench: bin/berth ## that everything is measured, not how fast it is
	scripts/deps build bench
	$(call suite,bench,-timeout 20m ./tests/bench)
