//go:build libseccomp

package seccomp

import (
	"cmp"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// evaluator says what a profile means, from the words of config-linux.md and of
// this package's comment. It looks every call up in the profile each time and
// shares no code with the compiler; only the numbers come from libseccomp too.
type evaluator struct {
	p     *specs.LinuxSeccomp
	archs []string // listed or native: "x86_64"
	// entries are the indices in p.Syscalls of what names a number, in order.
	entries map[string]map[uint32][]int // arch → number
	newest  map[string]int64            // arch → largest number named, or -1
}

func newEvaluator(p *specs.LinuxSeccomp) *evaluator {
	e := &evaluator{p: p, entries: map[string]map[uint32][]int{}, newest: map[string]int64{}}
	for _, a := range []struct {
		name string
		arch libseccomp.ScmpArch
		spec specs.Arch
	}{{"x86_64", libseccomp.ArchAMD64, specs.ArchX86_64}, {"x86", libseccomp.ArchX86, specs.ArchX86}, {"x32", libseccomp.ArchX32, specs.ArchX32}} {
		if a.name != "x86_64" && !slices.Contains(p.Architectures, a.spec) {
			continue
		}
		e.archs = append(e.archs, a.name)
		e.entries[a.name] = map[uint32][]int{}
		e.newest[a.name] = -1
		for i, s := range p.Syscalls {
			for _, name := range s.Names {
				nr, err := libseccomp.GetSyscallFromNameByArch(name, a.arch)
				if own, ok := x86Sockets()[name]; ok && a.name == "x86" {
					nr, err = own, nil
				}
				if err == nil && nr >= 0 {
					e.entries[a.name][uint32(nr)] = append(e.entries[a.name][uint32(nr)], i)
					e.newest[a.name] = max(e.newest[a.name], int64(nr))
				}
			}
		}
	}
	return e
}

// x86Sockets are the calls that socketcall(2) and ipc(2) carry and that have
// numbers of their own beside, from the kernel's syscall_32.tbl.
func x86Sockets() map[string]libseccomp.ScmpSyscall {
	return map[string]libseccomp.ScmpSyscall{
		"recvmmsg": 337, "sendmmsg": 345,
		"socket": 359, "socketpair": 360, "bind": 361, "connect": 362, "listen": 363, "accept4": 364,
		"getsockopt": 365, "setsockopt": 366, "getsockname": 367, "getpeername": 368, "sendto": 369,
		"sendmsg": 370, "recvfrom": 371, "recvmsg": 372, "shutdown": 373,
		"semget": 393, "semctl": 394, "shmget": 395, "shmctl": 396, "shmat": 397, "shmdt": 398,
		"msgget": 399, "msgsnd": 400, "msgrcv": 401, "msgctl": 402,
	}
}

// arch tells which architecture a call is of, "" for none of the profile's.
func (e *evaluator) arch(d *callData) string {
	a := ""
	switch d.arch {
	case 0x40000003:
		a = "x86"
	case 0xc000003e:
		a = "x86_64"
		if d.nr&0xc0000000 != 0 && d.nr != 0xffffffff {
			a = "x32"
		}
	}
	if !slices.Contains(e.archs, a) {
		return ""
	}
	return a
}

// value is the return value of an action word, with EPERM where the errno is
// absent.
func value(action specs.LinuxSeccompAction, errno *uint) uint32 {
	n := uint32(1)
	if errno != nil {
		n = uint32(*errno)
	}
	switch action {
	case specs.ActKill, specs.ActKillThread:
		return 0
	case specs.ActKillProcess:
		return 0x80000000
	case specs.ActTrap:
		return 0x30000
	case specs.ActErrno:
		return 0x50000 | n
	case specs.ActNotify:
		return 0x7fc00000
	case specs.ActTrace:
		return 0x7ff00000 | n
	case specs.ActLog:
		return 0x7ffc0000
	case specs.ActAllow:
		return 0x7fff0000
	}
	panic("action " + action)
}

func holds(a specs.LinuxSeccompArg, v uint64) bool {
	switch a.Op {
	case specs.OpNotEqual:
		return v != a.Value
	case specs.OpLessThan:
		return v < a.Value
	case specs.OpLessEqual:
		return v <= a.Value
	case specs.OpEqualTo:
		return v == a.Value
	case specs.OpGreaterEqual:
		return v >= a.Value
	case specs.OpGreaterThan:
		return v > a.Value
	case specs.OpMaskedEqual:
		return v&a.Value == a.ValueTwo&a.Value
	}
	panic("operator " + a.Op)
}

// matches gives whether the conditions of an entry hold: all of them, or, where
// an index is named twice, any.
//
// A negative value of 64 bits means the same number in the 32 bits of x86.
func matches(s *specs.LinuxSyscall, d *callData, arch string) bool {
	var seen [6]int
	held := 0
	for _, a := range s.Args {
		seen[a.Index]++
		if arch == "x86" {
			for _, v := range []*uint64{&a.Value, &a.ValueTwo} {
				if *v >= 0xffffffff80000000 {
					*v &= 0xffffffff
				}
			}
		}
		if holds(a, d.args[a.Index]) {
			held++
		}
	}
	if slices.Max(seen[:]) > 1 {
		return held > 0
	}
	return held == len(s.Args)
}

// strictest gives the answer that the kernel prefers (seccomp(2)).
func strictest(rets []uint32) uint32 {
	return slices.MinFunc(rets, func(a, b uint32) int { return cmp.Compare(int32(a&0xffff0000), int32(b&0xffff0000)) })
}

// verdict gives the return value that the profile means for a call.
func (e *evaluator) verdict(d *callData) uint32 {
	a := e.arch(d)
	if a == "" {
		return 0
	}
	deflt := value(e.p.DefaultAction, e.p.DefaultErrnoRet)
	ret, decided := e.direct(a, d, deflt)
	if name := x86Member(d); a == "x86" && name != "" && !decided {
		var rets []uint32
		for i := range e.p.Syscalls {
			s := &e.p.Syscalls[i]
			v := value(s.Action, s.ErrnoRet)
			if v == deflt || !slices.Contains(s.Names, name) {
				continue
			}
			if len(s.Args) == 0 {
				return v
			}
			rets = append(rets, v)
		}
		if len(rets) > 0 {
			return strictest(append(rets, deflt))
		}
	}
	denied := !slices.Contains([]specs.LinuxSeccompAction{specs.ActAllow, specs.ActLog, specs.ActTrace}, e.p.DefaultAction)
	if !decided && denied && e.newest[a] >= 0 && int64(d.nr) > e.newest[a] {
		return 0x50000 | 38
	}
	return ret
}

// direct looks at the entries that name the call's own number.
func (e *evaluator) direct(a string, d *callData, deflt uint32) (ret uint32, decided bool) {
	ret = deflt
	for _, i := range e.entries[a][d.nr] {
		s := &e.p.Syscalls[i]
		v := value(s.Action, s.ErrnoRet)
		if v == deflt {
			continue
		}
		if len(s.Args) == 0 {
			return v, true
		}
		if !decided && matches(s, d, a) {
			ret, decided = v, true
		}
	}
	return ret, decided
}

// x86Member names the call that a call of x86's socketcall(2) or ipc(2) carries.
func x86Member(d *callData) string {
	sub := d.args[0]
	if d.nr == 117 {
		sub &= 0xffff // the rest is a version
	}
	return x86Members(d.nr)[sub]
}

func x86Members(nr uint32) map[uint64]string {
	switch nr {
	case 102:
		return map[uint64]string{
			1: "socket", 2: "bind", 3: "connect", 4: "listen", 5: "accept", 6: "getsockname", 7: "getpeername",
			8: "socketpair", 9: "send", 10: "recv", 11: "sendto", 12: "recvfrom", 13: "shutdown", 14: "setsockopt",
			15: "getsockopt", 16: "sendmsg", 17: "recvmsg", 18: "accept4", 19: "recvmmsg", 20: "sendmmsg",
		}
	case 117:
		return map[uint64]string{
			1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget",
			14: "msgctl", 21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl",
		}
	}
	return nil
}
