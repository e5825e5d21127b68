TEST_SUITES += test-bench

##@ Measure

.PHONY: bench
bench: deps-bench bin/berth ## measure berth against crun, runc, PEERS="NAME=PATH …" and the floor (docs/performance.md)
	$(GO) build -o build/bench/bench ./tests/bench
	build/bench/bench -peers "$(PEERS)" $(BENCH_FLAGS)

.PHONY: bench-docs
bench-docs: ## write the figures of the last `make bench` into docs/performance.md
	$(GO) run ./tests/bench -docs docs

# That everything is measured, not how fast it is: the figures of so few rounds are noise.
.PHONY: test-bench
test-bench: deps-bench bin/berth
	$(call suite,bench,-timeout 20m ./tests/bench)

.PHONY: deps-bench
deps-bench:
	@scripts/deps build bench
