TEST_SUITES += test-kubernetes

KUBERNETES := build/kubernetes

.PHONY: test-kubernetes
test-kubernetes: bin/berth $(KUBERNETES)/built ## a Kubernetes node and its control plane, with berth as a RuntimeClass (builds them: minutes)
	scripts/deps build kubernetes
	$(call suite,kubernetes,-timeout 25m -parallel 8 ./tests/kubernetes)

# Kubernetes' own programs, of the version that the module names; the distribution has none.
$(KUBERNETES)/built: tests/kubernetes/node/go.mod tests/kubernetes/node/go.sum | deps-build
	rm -rf $(KUBERNETES)
	mkdir -p $(KUBERNETES)
	CGO_ENABLED=0 $(GO) build -C tests/kubernetes/node -ldflags '-s -w' -o $(CURDIR)/$(KUBERNETES)/ tool
	touch $@
