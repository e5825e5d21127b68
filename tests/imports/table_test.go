package imports

// edges are the imports between packages of the module that are allowed, each with its reason. They run one way:
// berth, cli, libcontainer, and then what libcontainer puts together.
func edges() map[string]string {
	return map[string]string{
		"berth -> cli":   "the program is its command line",
		"berth -> entry": "the program begins there",

		"cli -> entry":               "what it starts has the timer slack that berth was started with",
		"libcontainer -> entry":      "as cli",
		"libcontainer/criu -> entry": "as cli",
		"nsenter -> entry":           "as cli",

		"cli -> libcontainer":         "commands act on containers through it alone",
		"cli -> spec":                 "the command spec writes the default config, create and run read one",
		"cli -> libcontainer/compile": "the command plan shows what create would do",
		"cli -> libcontainer/plan":    "the command plan prints operations",
		"cli -> cgroups/devices":      "the command plan prints the device filter",
		"cli -> seccomp":              "--version names libseccomp's version",
		"cli -> cli/selfpipe":         "foreground run and exec pass signals on",
		"cli -> cli/regex":            "kill and delete by --regex",

		"libcontainer -> spec":                     "create reads the bundle's config",
		"libcontainer -> libcontainer/compile":     "create compiles it",
		"libcontainer -> libcontainer/plan":        "the compiled plan is handed on, its reports are told by its origins",
		"libcontainer -> libcontainer/facts":       "hands on what the probe found",
		"libcontainer -> libcontainer/facts/probe": "compile needs to know the host",
		"cli -> libcontainer/resctrl":              "the command plan prints what goes to resctrl",
		"libcontainer -> libcontainer/resctrl":     "the container's group of Intel RDT",
		"libcontainer -> libcontainer/netlink":     "moves network devices",
		"libcontainer -> nsenter":                  "starts the executor that carries the plan out",
		"libcontainer -> cgroups":                  "where a container's cgroup is, and its limits",
		"libcontainer -> cgroups/fs":               "makes, joins and removes the cgroup through cgroupfs",
		"libcontainer -> cgroups/systemd":          "does so through systemd",
		"libcontainer -> cgroups/devices":          "the allowed device list",
		"libcontainer -> cgroups/devices/bpf":      "loads the list's program on v2",
		"libcontainer -> libcontainer/criu":        "checkpoint and restore ask it",
		"cli -> libcontainer/criu":                 "the flags of checkpoint and restore are its options",
		"libcontainer -> memfd":                    "what goes to the executor and to hooks",
		"libcontainer -> seccomp":                  "compiles the profile beside the kernel's work",
		"seccomp -> seccomp/libseccomp":            "in the generator: it has libseccomp write the programs",
		"seccomp -> seccomp/packed":                "the generator lies packed in berth",
		"seccomp -> memfd":                         "the generator runs from memory",
		"seccomp -> entry":                         "as cli",
		"seccomp/generator -> seccomp":             "compiles as the build with libseccomp does",
		"seccomp/generator/pack -> seccomp/packed": "packs it when berth is built",

		"libcontainer/compile -> spec":               "what it compiles",
		"libcontainer/compile -> libcontainer/facts": "what that depends on of this host",
		"libcontainer/compile -> libcontainer/plan":  "what it compiles to",
		"libcontainer/compile -> cgroups/devices":    "the device list is part of what a plan shows",
		"libcontainer/compile -> cgroups":            "the cgroup mount and its namespace depend on the layout",

		"libcontainer/facts -> cgroups":                  "the layout is a fact",
		"libcontainer/facts/probe -> libcontainer/facts": "fills the facts in",
		"libcontainer/facts/probe -> cgroups":            "the layout is a fact",
		"libcontainer/facts/probe -> cgroups/fs":         "finds the layout",

		"nsenter -> libcontainer/plan": "encodes the plan, and reads the reports on its operations",
		"nsenter -> memfd":             "the executor and its plan",

		"cgroups/fs -> cgroups":                  "applies what cgroups has computed",
		"cgroups/systemd -> cgroups":             "applies what cgroups has computed",
		"cgroups/systemd -> cgroups/devices":     "the unit's DeviceAllow",
		"cgroups/devices -> cgroups":             "the rules",
		"cgroups/devices/bpf -> cgroups/devices": "loads the program that it assembles",
	}
}

// pure are the packages that do no I/O, with what that is good for.
func pure() map[string]string {
	return map[string]string{
		"cli/regex":            "what delete acts on is tested without a container at hand",
		"spec":                 "a config is judged the same on every host",
		"libcontainer/plan":    "golden tests need no root",
		"libcontainer/facts":   "a plain struct, so that a test can make up any host",
		"libcontainer/compile": "a function from config and facts to plan: golden tests need no root",
		"cgroups":              "limits become (file, value, origin) without a hierarchy at hand",
		"cgroups/devices":      "rules are merged and assembled without a kernel at hand",
	}
}

// use is which packages may import a library, and why those.
type use struct {
	reason string
	users  []string
}

func libraries() map[string]use {
	return map[string]use{
		"github.com/opencontainers/runtime-spec": {"the types of config.json, for who reads or computes from it", []string{
			"cli", "spec", "libcontainer", "libcontainer/compile", "libcontainer/resctrl", "cgroups", "cgroups/devices", "cgroups/systemd", "seccomp",
		}},
		"golang.org/x/sys": {"system calls, for who reaches the host", []string{
			"cli", "cli/selfpipe", "entry", "libcontainer", "libcontainer/criu", "libcontainer/facts/probe", "libcontainer/netlink", "libcontainer/resctrl", "memfd", "nsenter", "cgroups/fs", "cgroups/systemd",
			"cgroups/devices/bpf", "seccomp", "seccomp/libseccomp",
		}},
		"github.com/urfave/cli/v3":                 {"flags are the command line's business", []string{"cli"}},
		"github.com/containerd/console":            {"the user's terminal is the command line's business", []string{"cli"}},
		"github.com/cilium/ebpf":                   {"its assembler makes the device filter", []string{"cgroups/devices", "cgroups/devices/bpf"}},
		"github.com/godbus/dbus/v5":                {"systemd is spoken to in one place", []string{"cgroups/systemd"}},
		"github.com/coreos/go-systemd/v22":         {"systemd is spoken to in one place", []string{"cgroups/systemd"}},
		"github.com/coreos/go-systemd/v22/journal": {"--log journald:", []string{"cli"}},
		"github.com/pierrec/lz4/v4":                {"the seccomp generator is packed by it", []string{"seccomp/packed"}},
		"github.com/seccomp/libseccomp-golang":     {"the C library is called in one place", []string{"seccomp/libseccomp"}},
		"github.com/opencontainers/selinux":        {"labels are computed before the plan is made", []string{"libcontainer"}},
		"github.com/moby/sys/user":                 {"the rootfs's passwd, for HOME", []string{"libcontainer"}},
		"github.com/moby/sys/mountinfo":            {"the host's mounts are a fact, and a container's what a checkpoint must know", []string{"libcontainer", "libcontainer/facts/probe"}},
	}
}
