//go:build libseccomp

package seccomp

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOtherMachines tries layouts that this machine does not have; the numbers
// are those of libseccomp.
func TestOtherMachines(t *testing.T) {
	const (
		deny, enosys, allow, kill   = 0x50001, 0x50026, 0x7fff0000, 0
		aarch64, arm, s390x, mipsel = unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_S390X, unix.AUDIT_ARCH_MIPSEL
	)
	p := profileOf(t, `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_ARM", "SCMP_ARCH_MIPSEL"], "syscalls": [
		{"names": ["read", "write", "shutdown", "msgctl"], "action": "SCMP_ACT_ALLOW"}]}`)
	for _, c := range []struct {
		machine  string
		arch, nr uint32
		arg0     uint64
		want     uint32
	}{
		{"arm64", aarch64, 63, 0, allow}, // read
		{"arm64", aarch64, 65, 0, deny},
		{"arm64", aarch64, 210, 0, allow}, // shutdown
		{"arm64", aarch64, 211, 0, enosys},
		{"arm64", arm, 3, 0, allow},
		{"arm64", arm, 5, 0, deny},
		{"arm64", arm, 305, 0, enosys},
		{"arm64", s390x, 3, 0, kill},
		{"s390x", s390x, 0, 0, enosys}, // an unknown number, as s390 reports it
		{"s390x", s390x, 1, 0, deny},
		{"s390x", s390x, 3, 0, allow},
		{"s390x", s390x, 373, 0, allow}, // shutdown's own number
		{"s390x", s390x, 402, 0, allow}, // msgctl's
		{"s390x", s390x, 403, 0, enosys},
		{"mipsle", mipsel, 4003, 0, allow},
		{"mipsle", mipsel, 4182, 0, allow},
		{"mipsle", mipsel, 4183, 0, deny},
		{"mipsle", mipsel, 4102, 13, allow}, // socketcall(SYS_SHUTDOWN)
		{"mipsle", mipsel, 4102, 12, deny},
		{"mipsle", mipsel, 4403, 0, enosys},
	} {
		program, err := compileFor(machineOf(c.machine), newLookup, ownProgram, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := simulate(decode(program.Filter), &callData{nr: c.nr, arch: c.arch, args: [6]uint64{c.arg0}})
		if err != nil || got != c.want {
			t.Errorf("%s: arch %#x number %d: got %#x (%v), want %#x", c.machine, c.arch, c.nr, got, err, c.want)
		}
	}
	if _, err := compileFor(machineOf("wasm"), newLookup, ownProgram, p); err == nil || !strings.Contains(err.Error(), "not supported on this processor") {
		t.Error(err)
	}
}
