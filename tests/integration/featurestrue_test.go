package integration

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// optionsWith are mount options in which a word makes sense, and what they are the options of.
func optionsWith(word, folder string) specs.Mount {
	m := specs.Mount{Type: "tmpfs", Source: "tmpfs", Options: []string{word}}
	bind := func(options ...string) { m.Type, m.Source, m.Options = "", folder, options }
	switch word {
	case "bind", "rbind":
		bind(word)
	case "idmap", "ridmap":
		bind("rbind", word)
		m.UIDMappings, m.GIDMappings = idMapping(0, 100000, 1000), idMapping(0, 100000, 1000)
	case "copy-symlink", "src-nofollow", "dest-nofollow":
		bind("bind", word)
	case "remount":
		m.Options = append(m.Options, "ro")
	case "rprivate", "rshared", "rslave", "runbindable", "relatime":
	default:
		if strings.HasPrefix(word, "r") && len(word) > 2 {
			bind("rbind", word) // the recursive form of another
		}
	}
	return m
}

// Each mount option that features lists is taken by a run, without a word about it.
func TestListedMountOptionsAreTaken(t *testing.T) {
	cameWith(t, 5, 12, "mount_setattr")
	berthOnly(t, "Debian's runc lists words that it then fails with, such as defaults and ratime")
	t.Parallel()
	words := runtimeFeatures(t).MountOptions
	folder := ownedFolder(t)
	var mounts []specs.Mount
	for _, word := range words {
		m := optionsWith(word, folder)
		m.Destination = "/m/" + word
		if word == "remount" {
			mounts = append(mounts, specs.Mount{Destination: m.Destination, Type: "tmpfs", Source: "tmpfs"})
		}
		mounts = append(mounts, m)
	}
	c := newContainer(t, withMounts(mounts...), withArgs("cat", "/proc/self/mountinfo"))
	r := c.run().ok(t)
	want(t, "stderr", r.stderr, "")
	inside := parseMountinfo(r.stdout)
	for _, word := range words {
		mountAt(t, inside, "/m/"+word)
	}
}

// The capabilities that features lists are all that the host has, in their order, and a process can have them all.
func TestListedCapabilitiesAreGiven(t *testing.T) {
	t.Parallel()
	f := runtimeFeatures(t)
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "number of capabilities", len(f.Linux.Capabilities), last+1)
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	bounds := statusField(t, string(own), "CapBnd")
	mask, err := strconv.ParseUint(bounds, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	var can []string // a nested machine may be without some
	for i, name := range f.Linux.Capabilities {
		if mask>>i&1 == 1 {
			can = append(can, name)
		}
	}
	r := newContainer(t, withCapabilities(can...), withArgs("cat", "/proc/self/status")).run().ok(t)
	want(t, "stderr", r.stderr, "")
	want(t, "effective capabilities", statusField(t, r.stdout, "CapEff"), bounds)
}

// Each of seccomp's words that features lists is taken, and of the flags those that the kernel supports.
func TestListedSeccompWordsAreTaken(t *testing.T) {
	t.Parallel()
	s := runtimeFeatures(t).Linux.Seccomp
	want(t, "seccomp", s != nil && s.Enabled != nil && *s.Enabled, true)
	profiles := map[string]*specs.LinuxSeccomp{}
	profile := func(name string) (*specs.LinuxSeccomp, *specs.LinuxSyscall) {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"kexec_load"}, Action: specs.ActErrno}}}
		profiles[name] = p
		return p, &p.Syscalls[0]
	}
	agent := newAgent(t)
	for _, action := range s.Actions {
		p, rule := profile(action)
		rule.Action = specs.LinuxSeccompAction(action)
		if rule.Action == specs.ActNotify {
			p.ListenerPath = agent.path
		}
	}
	for _, operator := range s.Operators {
		_, rule := profile(operator)
		rule.Args = []specs.LinuxSeccompArg{{Index: 1, Value: 77, ValueTwo: 7, Op: specs.LinuxSeccompOperator(operator)}}
	}
	for _, arch := range s.Archs {
		if !isBerth() && !strings.HasPrefix(arch, "SCMP_ARCH_X") {
			continue // libseccomp lets no profile have this machine's architecture and one of the other byte order
		}
		p, _ := profile(arch)
		p.Architectures = []specs.Arch{specs.Arch(arch)}
	}
	for _, flag := range s.SupportedFlags {
		p, rule := profile(flag)
		p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(flag)}
		if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
			p.ListenerPath, rule.Action = agent.path, specs.ActNotify
		}
	}
	for _, name := range thinned(slices.Sorted(maps.Keys(profiles)), 0) {
		t.Run(name, func(t *testing.T) {
			r := newContainer(t, withArgs("true"), withSeccomp(profiles[name])).run().ok(t)
			want(t, "stderr", r.stderr, "")
		})
	}
}

// Each mode and flag of a memory policy that features lists is taken where the kernel has it, and else told of.
func TestListedMemoryPoliciesAreTaken(t *testing.T) {
	newerThanReference(t, "linux.memoryPolicy")
	t.Parallel()
	told := runtimeFeatures(t).Linux.MemoryPolicy
	policies := map[string]specs.LinuxMemoryPolicy{}
	for _, word := range told.Modes {
		p := specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(word), Nodes: "0"}
		if p.Mode == specs.MpolDefault || p.Mode == specs.MpolLocal {
			p.Nodes = ""
		}
		policies[word] = p
	}
	for _, word := range told.Flags {
		policies[word] = specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MemoryPolicyFlagType(word)}}
	}
	for word, policy := range policies {
		t.Run(word, func(t *testing.T) {
			r := newContainer(t, withArgs("true"), withLinux(func(l *specs.Linux) { l.MemoryPolicy = &policy })).run()
			if r.code != 0 { // a kernel that is older
				wantContains(t, "error", r.stderr, "linux.memoryPolicy", word, "Linux ")
			}
		})
	}
}

// What features says of checkpoints is so: the command is there.
func TestListedCheckpointIsThere(t *testing.T) {
	berthOnly(t, "its annotations")
	want(t, "berth.checkpoint.enabled", runtimeFeatures(t).Annotations["berth.checkpoint.enabled"], "true")
	oci(t, "checkpoint", "--help").ok(t)
}
