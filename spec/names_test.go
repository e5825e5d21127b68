package spec

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCapability(t *testing.T) {
	want := map[string]int{
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH,
		"CAP_FOWNER": unix.CAP_FOWNER, "CAP_FSETID": unix.CAP_FSETID, "CAP_KILL": unix.CAP_KILL, "CAP_SETGID": unix.CAP_SETGID,
		"CAP_SETUID": unix.CAP_SETUID, "CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_LINUX_IMMUTABLE": unix.CAP_LINUX_IMMUTABLE,
		"CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "CAP_NET_BROADCAST": unix.CAP_NET_BROADCAST, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN,
		"CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_IPC_LOCK": unix.CAP_IPC_LOCK, "CAP_IPC_OWNER": unix.CAP_IPC_OWNER,
		"CAP_SYS_MODULE": unix.CAP_SYS_MODULE, "CAP_SYS_RAWIO": unix.CAP_SYS_RAWIO, "CAP_SYS_CHROOT": unix.CAP_SYS_CHROOT,
		"CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_SYS_PACCT": unix.CAP_SYS_PACCT, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN,
		"CAP_SYS_BOOT": unix.CAP_SYS_BOOT, "CAP_SYS_NICE": unix.CAP_SYS_NICE, "CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE,
		"CAP_SYS_TIME": unix.CAP_SYS_TIME, "CAP_SYS_TTY_CONFIG": unix.CAP_SYS_TTY_CONFIG, "CAP_MKNOD": unix.CAP_MKNOD,
		"CAP_LEASE": unix.CAP_LEASE, "CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE, "CAP_AUDIT_CONTROL": unix.CAP_AUDIT_CONTROL,
		"CAP_SETFCAP": unix.CAP_SETFCAP, "CAP_MAC_OVERRIDE": unix.CAP_MAC_OVERRIDE, "CAP_MAC_ADMIN": unix.CAP_MAC_ADMIN,
		"CAP_SYSLOG": unix.CAP_SYSLOG, "CAP_WAKE_ALARM": unix.CAP_WAKE_ALARM, "CAP_BLOCK_SUSPEND": unix.CAP_BLOCK_SUSPEND,
		"CAP_AUDIT_READ": unix.CAP_AUDIT_READ, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_BPF": unix.CAP_BPF,
		"CAP_CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
	}
	if len(want) != unix.CAP_LAST_CAP+1 {
		t.Errorf("the kernel headers know %d capabilities, this test %d", unix.CAP_LAST_CAP+1, len(want))
	}
	for name, number := range want {
		if n, ok := Capability(name); !ok || n != number {
			t.Errorf("%s: have %d %v, want %d", name, n, ok, number)
		}
	}
	for _, name := range []string{"", "KILL", "cap_kill", "CAP_", "CAP_ALL", "CAP_KILL "} {
		if n, ok := Capability(name); ok {
			t.Errorf("%q is capability %d", name, n)
		}
	}
}

func TestCapabilities(t *testing.T) {
	names := Capabilities()
	for i, name := range names {
		if n, ok := Capability(name); !ok || n != i {
			t.Errorf("%s stands at %d, and is %d %v", name, i, n, ok)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names of %d", len(names), unix.CAP_LAST_CAP+1)
	}
}

func TestRlimit(t *testing.T) {
	want := map[string]int{
		"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_STACK": unix.RLIMIT_STACK,
		"RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
		"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
		"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
		"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	}
	for name, number := range want {
		if n, ok := Rlimit(name); !ok || n != number {
			t.Errorf("%s: have %d %v, want %d", name, n, ok, number)
		}
	}
	for _, name := range []string{"", "NOFILE", "rlimit_nofile", "RLIMIT_OFILE", "RLIMIT_NLIMITS"} {
		if n, ok := Rlimit(name); ok {
			t.Errorf("%q is resource %d", name, n)
		}
	}
}

func TestSignal(t *testing.T) {
	for n := 1; n <= 31; n++ {
		name := unix.SignalName(unix.Signal(n))
		for _, spelling := range []string{name, name[3:], strconv.Itoa(n)} {
			if have, err := Signal(spelling); err != nil || have != n {
				t.Errorf("%s: have %d %v, want %d", spelling, have, err, n)
			}
		}
	}
	for name, want := range map[string]int{
		"0": 0, "64": 64, "32": 32, "term": 15, "sigterm": 15, "SigKill": 9, "IOT": 6, "SIGCLD": 17, "POLL": 29, "UNUSED": 31,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+0": 34, "RTMIN+3": 37, "sigrtmin+30": 64, "RTMAX": 64, "SIGRTMAX-1": 63, "rtmax-30": 34,
	} {
		if have, err := Signal(name); err != nil || have != want {
			t.Errorf("%s: have %d %v, want %d", name, have, err, want)
		}
	}
	for _, name := range []string{
		"", "SIG", "65", "-1", "+15", "1.5", " 15", "99999999999999999999", "FOO", "SIGSIGTERM", "TERM ", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMIN3", "RTMIN+-1",
	} {
		if n, err := Signal(name); err == nil {
			t.Errorf("%q is signal %d", name, n)
		}
	}
	_, err := Signal("FOO")
	if want := `signal "FOO" is unknown: use a name (TERM, SIGTERM, RTMIN+1) or a number from 0 to 64`; err.Error() != want {
		t.Errorf("have %s, want %s", err, want)
	}
}
