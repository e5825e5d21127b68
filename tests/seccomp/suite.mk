TEST_SUITES += test-seccomp test-ownseccomp

.PHONY: test-seccomp
test-seccomp: export SCMP_BPF_SIM := $(CURDIR)/build/seccomp/scmp_bpf_sim
test-seccomp: build/seccomp/scmp_bpf_sim ## seccomp programs against libseccomp's own simulator, built from Debian's source
	$(call suite,seccomp,-tags libseccomp -run TestSimulator ./seccomp)

build/seccomp/scmp_bpf_sim: seccomp/testdata/build-simulator
	scripts/deps build check
	@mkdir -p $(@D)
	seccomp/testdata/build-simulator $(@D)

# What of the integration suite a berth that writes its seccomp programs itself can do otherwise: seccomp, and what starts a
# process.
.PHONY: test-ownseccomp
test-ownseccomp: export OCI_RUNTIME := $(CURDIR)/build/ownseccomp/berth
test-ownseccomp: build/ownseccomp/berth deps-integration ## the suite around seccomp, with a berth that is built with SECCOMP=berth
	$(call suite,ownseccomp,-timeout 20m -parallel 4 -short -run 'Seccomp|Notify|Features|Version|Lifecycle|Workloads|Exec|Leak|Descriptor' \
		./tests/integration -execs 30000)

.PHONY: build/ownseccomp/berth
build/ownseccomp/berth: SECCOMP := berth
build/ownseccomp/berth: nsenter/bin/executor
	$(GO_BUILD) -o $@ .
