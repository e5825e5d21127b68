package seccomp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzCompile: whatever a profile says, there is a program that ends with an
// answer for every call, or an error that names the field.
func FuzzCompile(f *testing.F) {
	f.Add(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"],
		"flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
		{"names": ["read", "socket", "semop", "no_such"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["ioctl", "bind"], "action": "SCMP_ACT_TRACE", "errnoRet": 7, "args": [
			{"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_NE"}, {"index": 5, "value": 240, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["ioctl"], "action": "SCMP_ACT_NOTIFY", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_LT"}, {"index": 0, "value": 9, "op": "SCMP_CMP_GE"}]}]}`)
	f.Add(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LE"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var p specs.LinuxSeccomp
		if json.Unmarshal([]byte(text), &p) != nil {
			return
		}
		_, _, problems := parse(&p, thisMachine())
		program, err := compileOwn(&p)
		if err != nil {
			if program != nil || !strings.HasPrefix(err.Error(), "linux.seccomp") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		if len(problems) > 0 {
			t.Errorf("compiled in spite of %q", problems)
		}
		if n := len(program.Filter); n == 0 || n%insnSize != 0 || n > maxInsns*insnSize {
			t.Errorf("%d bytes", n)
		}
		code := decode(program.Filter)
		for _, arch := range []uint32{0xc000003e, 0x40000003, 0} {
			for nr := range uint32(500) {
				for _, d := range []callData{{nr: nr, arch: arch}, {nr: nr + x32Bit, arch: arch, args: [6]uint64{1, 9, 1 << 33, 5, 6, 7}}} {
					if _, err := simulate(code, &d); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if key := NewKey(&p, ""); len(key) == 0 {
			t.Error("no key")
		}
	})
}

// FuzzCacheFile: no content of a cache file does harm.
func FuzzCacheFile(f *testing.F) {
	key := NewKey(testProfile(1), "6.1.0")
	f.Add(encodeEntry(key, testProgram()))
	f.Add([]byte(cacheMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		program, err := decodeEntry(data, key)
		if err != nil {
			return
		}
		if got := encodeEntry(key, program); string(got) != string(data) {
			t.Errorf("%x is taken for %x", data, got)
		}
	})
}
