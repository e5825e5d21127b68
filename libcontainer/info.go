package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups"
	"berth/cgroups/fs"
	"berth/libcontainer/facts"
	"berth/libcontainer/facts/probe"
	"berth/seccomp"
)

// Info is what matters of this host and this berth when something does not work:
// what info prints.
type Info struct {
	Version    string `json:"version"`
	Spec       string `json:"spec"` // newest runtime-spec
	Libseccomp string `json:"libseccomp,omitempty"`
	Kernel     string `json:"kernel"` // uname(2)'s release
	Machine    string `json:"machine"`
	OS         string `json:"os"` // PRETTY_NAME of os-release(5)
	CPUs       int    `json:"cpus"`
	Memory     uint64 `json:"memory"` // bytes
	User       int    `json:"user"`   // effective user id
	// Privileged says whether berth has CAP_SYS_ADMIN.
	Privileged    bool     `json:"privileged"`
	StateRoot     string   `json:"stateRoot"`
	Containers    int      `json:"containers"`
	CgroupManager string   `json:"cgroupManager"`
	Cgroups       string   `json:"cgroups"` // cgroup v1, hybrid, or v2
	Controllers   []string `json:"controllers"`
	Systemd       bool     `json:"systemd"` // is process 1; sd_booted(3)
	Namespaces    []string `json:"namespaces"`
	AppArmor      bool     `json:"appArmor"`
	SELinux       bool     `json:"seLinux"`
	// Lacks are what this kernel is too old for.
	Lacks []string `json:"lacks"`
}

// Info finds out about this host.
func (r *Runtime) Info() (*Info, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	var system unix.Sysinfo_t
	if err := unix.Sysinfo(&system); err != nil {
		return nil, fmt.Errorf("sysinfo: %w", err)
	}
	host, err := probe.Self()
	if err != nil {
		return nil, err
	}
	containers, err := r.List()
	if err != nil {
		return nil, err
	}
	info := &Info{
		Version:       r.Version,
		Spec:          specs.Version,
		Libseccomp:    seccomp.LibraryVersion(),
		Kernel:        unix.ByteSliceToString(name.Release[:]),
		Machine:       unix.ByteSliceToString(name.Machine[:]),
		OS:            osName(),
		CPUs:          runtime.NumCPU(),
		Memory:        system.Totalram * uint64(system.Unit),
		User:          os.Geteuid(),
		Privileged:    host.Permitted&(1<<unix.CAP_SYS_ADMIN) != 0,
		StateRoot:     r.Root,
		Containers:    len(containers),
		CgroupManager: string(r.CgroupManager),
		Systemd:       exists("/run/systemd/system"),
		Namespaces:    namespaceKinds(),
		AppArmor:      firstByte("/sys/module/apparmor/parameters/enabled") == 'Y',
		SELinux:       exists("/sys/fs/selinux/enforce"),
		Lacks:         lacks(host.Kernel),
	}
	layout, err := fs.Probe()
	switch {
	case errors.Is(err, cgroups.ErrNoCgroups):
		info.Cgroups = "none"
		return info, nil
	case err != nil:
		return nil, err
	}
	info.Cgroups = layout.Mode.String()
	for i := range layout.Hierarchies {
		info.Controllers = append(info.Controllers, layout.Hierarchies[i].Controllers...)
	}
	slices.Sort(info.Controllers)
	return info, nil
}

// lacks lists what berth would use that a kernel is too old for.
func lacks(k facts.Kernel) []string {
	list := []string{}
	for _, f := range [...]struct {
		major, minor int
		what         string
	}{
		{5, 12, "recursive mount options, idmapped mounts"},
		{5, 14, "cgroup.kill, cpu.burst"},
		{5, 15, "cpu.idle"},
		{5, 19, "waiting killably for a seccomp agent"},
		{6, 15, "the exit code of a process that was reaped (wait)"},
	} {
		if !k.AtLeast(f.major, f.minor) {
			list = append(list, fmt.Sprintf("%s (Linux %d.%d)", f.what, f.major, f.minor))
		}
	}
	return list
}

// namespaceKinds lists the namespaces that the kernel has, by their files.
func namespaceKinds() []string {
	var kinds []string
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		if exists("/proc/self/ns/" + kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// firstByte reads the answer of a file that says Y or N; 0 where there is none.
func firstByte(path string) byte {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return 0
	}
	return text[0]
}

// osName is the distribution's own name for itself.
func osName() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := os.ReadFile(path)
		if err == nil {
			return prettyName(string(text))
		}
	}
	return "unknown"
}

// prettyName finds PRETTY_NAME in the text of an os-release(5).
func prettyName(text string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return "unknown"
}
