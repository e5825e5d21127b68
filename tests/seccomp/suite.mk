TEST_SUITES += test-seccomp test-libseccomp

.PHONY: test-seccomp
test-seccomp: export SCMP_BPF_SIM := $(CURDIR)/build/seccomp/scmp_bpf_sim
test-seccomp: build/seccomp/scmp_bpf_sim ## seccomp programs against libseccomp's own simulator, built from Debian's source
	$(call suite,seccomp,-tags libseccomp -run TestSimulator ./seccomp)

build/seccomp/scmp_bpf_sim: seccomp/testdata/build-simulator
	scripts/deps build check
	@mkdir -p $(@D)
	seccomp/testdata/build-simulator $(@D)

# What of the integration suite a berth that is linked with libseccomp can do otherwise: seccomp, what starts a process,
# and, with a C library in it, its size and its threads.
.PHONY: test-libseccomp
test-libseccomp: export OCI_RUNTIME := $(CURDIR)/build/libseccomp/berth
test-libseccomp: build/libseccomp/berth deps-integration ## the suite around seccomp, with a berth that is built with SECCOMP=libseccomp
	$(call suite,libseccomp,-timeout 20m -parallel 4 -short -run 'Seccomp|Notify|Features|Version|Lifecycle|Workloads|Exec|Leak|Descriptor' \
		./tests/integration -execs 30000)

.PHONY: build/libseccomp/berth
build/libseccomp/berth: SECCOMP := libseccomp
build/libseccomp/berth: nsenter/bin/executor
	@scripts/deps build libseccomp
	$(GO_BUILD) -o $@ .
	$(GO) version -m $@ | grep -q seccomp/libseccomp-golang
