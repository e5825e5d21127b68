TEST_SUITES += test-conformance

CONFORMANCE := build/conformance
RUNTIME_TOOLS := github.com/opencontainers/runtime-tools

.PHONY: test-conformance
test-conformance: bin/berth $(CONFORMANCE)/built ## the OCI runtime-tools validation programs, and the JSON schemas of the runtime-spec
	scripts/deps build conformance
	$(call suite,conformance,-timeout 15m -parallel 4 ./tests/conformance)

# The programs run in a folder that holds runtimetest, static for it runs in the container, and their rootfs.
$(CONFORMANCE)/built: tests/conformance/programs/go.mod tests/conformance/programs/go.sum | deps-build
	rm -rf $(CONFORMANCE)
	mkdir -p $(CONFORMANCE)/validation
	$(GO) build -C tests/conformance/programs -ldflags '-s -w' -o $(CURDIR)/$(CONFORMANCE)/validation/ $(RUNTIME_TOOLS)/validation/...
	CGO_ENABLED=0 $(GO) build -C tests/conformance/programs -ldflags '-s -w' -o $(CURDIR)/$(CONFORMANCE)/runtimetest $(RUNTIME_TOOLS)/cmd/runtimetest
	install -m 0644 "$$($(GO) list -C tests/conformance/programs -m -f '{{.Dir}}' $(RUNTIME_TOOLS))/rootfs-$$($(GO) env GOARCH).tar.gz" $(CONFORMANCE)/
	touch $@
