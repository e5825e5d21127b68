TEST_SUITES += test-seccomp

.PHONY: test-seccomp
test-seccomp: export SCMP_BPF_SIM := $(CURDIR)/build/seccomp/scmp_bpf_sim
test-seccomp: build/seccomp/scmp_bpf_sim ## seccomp programs against libseccomp's own simulator, built from Debian's source
	$(call suite,seccomp,-run TestSimulator ./seccomp)

build/seccomp/scmp_bpf_sim: seccomp/testdata/build-simulator
	scripts/deps build check
	@mkdir -p $(@D)
	seccomp/testdata/build-simulator $(@D)
