TEST_SUITES += test-vm
UNIT_PACKAGES += ./tests/vm

.PHONY: test-vm
test-vm: bin/berth ## the suite in virtual machines: cgroup v1 and v2, systemd, rootless, AppArmor, SELinux
	@mkdir -p $(RESULTS)
	tests/vm/run -json | $(GO) run ./tests/tally -suite vm -results $(RESULTS)
