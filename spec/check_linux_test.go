package spec

import (
	"io/fs"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestCheckMounts(t *testing.T) {
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 1}}
	runChecks(t, []checkCase{
		{"bind", addMount(specs.Mount{Destination: "/a", Source: "a", Options: []string{"rbind", "ro"}}), nil, nil},
		{"typed bind", addMount(specs.Mount{Destination: "/a", Type: "none", Source: "/a", Options: []string{"bind"}}), nil, nil},
		{"remount", addMount(specs.Mount{Destination: "/dev", Options: []string{"remount", "ro"}}), nil, nil},
		{"empty option", addMount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{""}}), nil, nil},
		{"destination missing", addMount(specs.Mount{Type: "tmpfs"}), []string{"mounts[7].destination: is missing: name the path in the container to mount on"}, nil},
		{"destination relative", addMount(specs.Mount{Destination: "a", Type: "tmpfs"}), nil, []string{`mounts[7].destination: "a" is relative, which is deprecated: taken from /`}},
		{"type missing", addMount(specs.Mount{Destination: "/a", Source: "/a"}), []string{"mounts[7].type: (/a) is missing: name a filesystem, such as tmpfs, or make it a bind mount with the option bind or rbind"}, nil},
		{"type only", addMount(specs.Mount{Destination: "/a", Source: "/a", Type: "bind"}), []string{`mounts[7].type: (/a) "bind" is no filesystem, and no option makes this a bind mount: add bind or rbind to options`}, nil},
		{"source missing", addMount(specs.Mount{Destination: "/a", Options: []string{"bind"}}), []string{"mounts[7].source: (/a) is missing, and a bind mount needs one: name the file or folder of the host to bind"}, nil},
		{"NULs", addMount(specs.Mount{Destination: "/\x00", Source: "b\x00", Type: "c\x00", Options: []string{"ro", "d\x00"}}), []string{
			`mounts[7].destination: "/\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`mounts[7].source: "b\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`mounts[7].type: "c\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`mounts[7].options[1]: "d\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, nil},
		{"idmap", addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind", "idmap"}, UIDMappings: mapping, GIDMappings: mapping}), nil, nil},
		{"idmap with uids", addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind", "idmap=uids=0-1-1;gids=0-1-1"}}), nil, nil},
		{"idmap of nothing", addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind", "ridmap"}}), []string{"mounts[7].options: the mount is to be idmapped, and neither it nor a user namespace has mappings: give it uidMappings and gidMappings"}, nil},
		{"idmap of the user namespace", func(s *specs.Spec) {
			addUserNS(s)
			addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind", "idmap"}})(s)
		}, nil, nil},
		{"idmap half", addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind"}, UIDMappings: mapping}), []string{"mounts[7].gidMappings: is missing, and there are uidMappings: give both or none"}, nil},
		{"idmap other half", addMount(specs.Mount{Destination: "/a", Source: "/a", Options: []string{"bind"}, GIDMappings: append(mapping, mapping...)}), []string{
			"mounts[7].gidMappings[1].containerID: overlaps with mounts[7].gidMappings[0]: make the ranges apart",
			"mounts[7].uidMappings: is missing, and there are gidMappings: give both or none",
		}, nil},
		{"no mount namespace", ns("uts"), []string{
			`root.readonly: would change the host's mounts: add {"type": "mount"} to linux.namespaces`,
			`mounts: would be made on the host: add {"type": "mount"} to linux.namespaces`,
			`linux.maskedPaths: would change the host's mounts: add {"type": "mount"} to linux.namespaces`,
			`linux.readonlyPaths: would change the host's mounts: add {"type": "mount"} to linux.namespaces`,
		}, nil},
		{"paths", func(s *specs.Spec) {
			s.Linux.MaskedPaths = []string{"/a", "", "b", "/\x00"}
			s.Linux.ReadonlyPaths = []string{"c"}
		}, []string{
			"linux.maskedPaths[1]: is empty: name an absolute path in the container, or remove it",
			`linux.maskedPaths[3]: "/\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, []string{`linux.maskedPaths[2]: "b" is relative: taken from /`, `linux.readonlyPaths[0]: "c" is relative: taken from /`}},
		{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "rslave" }, nil, nil},
		{"propagation wrong", func(s *specs.Spec) { s.Linux.RootfsPropagation = "SLAVE" }, []string{`linux.rootfsPropagation: "SLAVE" is no mount propagation: use shared, slave, private or unbindable`}, nil},
		{"propagation of the host", func(s *specs.Spec) {
			*s = specs.Spec{Version: Version, Root: &specs.Root{Path: "/"}, Linux: &specs.Linux{RootfsPropagation: "slave"}}
		}, []string{`linux.rootfsPropagation: would change the host's mounts: add {"type": "mount"} to linux.namespaces`}, nil},
		{"mount label", func(s *specs.Spec) { s.Linux.MountLabel = "a\x00" }, []string{`linux.mountLabel: "a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"cgroup", func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:docker:0123" }, nil, nil},
		{"cgroup dots", func(s *specs.Spec) { s.Linux.CgroupsPath = "/a..b/...c" }, nil, nil},
		{"cgroup climbs", func(s *specs.Spec) { s.Linux.CgroupsPath = "/a/../../b" }, []string{`linux.cgroupsPath: "/a/../../b" climbs with ..: name the cgroup without it`}, nil},
		{"cgroup NUL", func(s *specs.Spec) { s.Linux.CgroupsPath = "/a\x00" }, []string{`linux.cgroupsPath: "/a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
	})
}

func TestCheckNamespaces(t *testing.T) {
	runChecks(t, []checkCase{
		{"all", func(s *specs.Spec) { addUserNS(s); addNS(s, "time", "") }, nil, nil},
		{"joined", func(s *specs.Spec) { addNS(s, "user", "/proc/1/ns/user") }, nil, nil},
		{"mount and user joined", func(s *specs.Spec) {
			addNS(s, "user", "/proc/1/ns/user")
			s.Linux.Namespaces[4].Path = "/proc/1/ns/mnt"
		}, nil, nil},
		{"mount joined, user new", func(s *specs.Spec) { addUserNS(s); s.Linux.Namespaces[4].Path = "/proc/1/ns/mnt" }, []string{
			"linux.namespaces: nothing can be mounted in a mount namespace that is joined by path from within a new user namespace, which does not own it: name the user namespace that owns it by path too (/proc/PID/ns/user), or take one of the two out",
		}, nil},
		{"list", func(s *specs.Spec) {
			for _, e := range [][2]string{{"pid", ""}, {"net", ""}, {"mnt", ""}, {"foo", ""}, {"", "x"}, {"time", "proc/self/ns/time"}, {"user", "/a\x00"}} {
				addNS(s, specs.LinuxNamespaceType(e[0]), e[1])
			}
		}, []string{
			"linux.namespaces[6].type: pid is given twice: keep one of them",
			`linux.namespaces[7].type: "net" is no namespace: write "network"`,
			`linux.namespaces[8].type: "mnt" is no namespace: write "mount"`,
			`linux.namespaces[9].type: "foo" is no namespace: use pid, network, mount, ipc, uts, user, cgroup or time`,
			`linux.namespaces[10].type: "" is no namespace: use pid, network, mount, ipc, uts, user, cgroup or time`,
			`linux.namespaces[10].path: "x" is relative: make it absolute, such as /proc/PID/ns/NAME`,
			`linux.namespaces[11].path: "proc/self/ns/time" is relative: make it absolute, such as /proc/PID/ns/time`,
			`linux.namespaces[12].path: "/a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, nil},
		{"relative paths", func(s *specs.Spec) { s.Linux.Namespaces[1].Path, s.Linux.Namespaces[4].Path = "a", "b" }, []string{
			`linux.namespaces[1].path: "a" is relative: make it absolute, such as /proc/PID/ns/net`,
			`linux.namespaces[4].path: "b" is relative: make it absolute, such as /proc/PID/ns/mnt`,
		}, nil},
	})
}

func TestCheckUserAndTimeNamespaces(t *testing.T) {
	runChecks(t, []checkCase{
		{"user without mappings", func(s *specs.Spec) { addNS(s, "user", "") }, []string{
			`linux.uidMappings: is missing, and there is a new user namespace: add one, such as {"containerID": 0, "hostID": 100000, "size": 65536}`,
			`linux.gidMappings: is missing, and there is a new user namespace: add one, such as {"containerID": 0, "hostID": 100000, "size": 65536}`,
		}, nil},
		{"mappings without user", func(s *specs.Spec) { s.Linux.GIDMappings = []specs.LinuxIDMapping{{Size: 1}} }, nil, []string{"linux.uidMappings: uidMappings and gidMappings have no effect without a user namespace"}},
		{"ids not mapped", func(s *specs.Spec) {
			addUserNS(s)
			s.Process.User = specs.User{UID: 65536, GID: 70000, AdditionalGids: []uint32{65535, 65537}}
		}, []string{
			"process.user.uid: 65536 is not mapped in linux.uidMappings: use an id that is, or map it",
			"process.user.gid: 70000 is not mapped in linux.gidMappings: use an id that is, or map it",
			"process.user.additionalGids[1]: 65537 is not mapped in linux.gidMappings: use an id that is, or map it",
		}, nil},
		{"mappings", func(s *specs.Spec) {
			addUserNS(s)
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 65535, HostID: 1, Size: 1}, specs.LinuxIDMapping{ContainerID: 70000, HostID: 165535, Size: 1},
				specs.LinuxIDMapping{ContainerID: 80000, HostID: 2, Size: 0}, specs.LinuxIDMapping{ContainerID: 90000, HostID: noID, Size: 1})
		}, []string{
			"linux.uidMappings[1].containerID: overlaps with linux.uidMappings[0]: make the ranges apart",
			"linux.uidMappings[2].hostID: overlaps with linux.uidMappings[0]: make the ranges apart",
			"linux.uidMappings[3].size: is 0: give the number of ids to map, or remove the entry",
			"linux.uidMappings[4].size: reaches beyond the last id, 4294967294: lower it",
		}, nil},
		{"every id", func(s *specs.Spec) {
			addUserNS(s)
			s.Linux.UIDMappings[0] = specs.LinuxIDMapping{ContainerID: 0, HostID: 0, Size: noID}
		}, nil, nil},
		{"too many mappings", func(s *specs.Spec) {
			addUserNS(s)
			s.Linux.UIDMappings = nil
			for i := range uint32(341) {
				s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: i, HostID: i, Size: 1})
			}
		}, []string{"linux.uidMappings: has 341 entries, and the kernel takes 340: join neighbours to larger ranges"}, nil},

		{"time", func(s *specs.Spec) {
			addNS(s, "time", "")
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -5}, "boottime": {Nanosecs: 999_999_999}}
		}, nil, nil},
		{"time wrong", func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}, "boottime": {Nanosecs: 1_000_000_000}}
		}, []string{
			`linux.timeOffsets: there is no time namespace to set them in: add {"type": "time"} to linux.namespaces`,
			"linux.timeOffsets.boottime.nanosecs: 1000000000 is a second or more: carry it over to secs",
			"linux.timeOffsets.realtime: there is no such clock: use monotonic or boottime",
		}, nil},
		{"time joined", func(s *specs.Spec) {
			addNS(s, "time", "/proc/1/ns/time")
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {}}
		}, []string{"linux.timeOffsets: the clocks of a time namespace that is joined by path cannot be set: remove the offsets, or the path"}, nil},
	})
}

func TestCheckNetDevices(t *testing.T) {
	runChecks(t, []checkCase{
		{"net devices", func(s *specs.Spec) {
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}, "eth1": {Name: "lan%d"}, "eth2": {Name: "lan%d"}}
		}, nil, nil},
		{"net devices wrong", func(s *specs.Spec) {
			ns("uts", "mount")(s)
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"": {Name: "a/b"}, "a b": {}, "c": {Name: "sixteen-letters!"}, "d": {Name: "e"}, "e": {}}
		}, []string{
			`linux.netDevices: there is no network namespace to move them to: add {"type": "network"} to linux.namespaces`,
			`linux.netDevices[""]: is no name of a network device: name a device of the host`,
			`linux.netDevices[""].name: "a/b" is no name for a network device: use up to 15 characters without /, : and spaces`,
			`linux.netDevices["a b"]: is no name of a network device: name a device of the host`,
			`linux.netDevices.c.name: "sixteen-letters!" is no name for a network device: use up to 15 characters without /, : and spaces`,
			`linux.netDevices.e.name: "e" is also the name of linux.netDevices.d: give each its own`,
		}, nil},
	})
}

func TestCheckSysctl(t *testing.T) {
	sysctl := func(key string) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{key: "1"} }
	}
	for _, key := range []string{
		"net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.ipv4.conf.eth0/100.forwarding", "kernel.shmmax", "kernel/msgmax", "kernel.sem",
		"kernel.msg_next_id", "kernel.shm_rmid_forced", "fs.mqueue.msg_max", "kernel.domainname",
	} {
		runChecks(t, []checkCase{{key, sysctl(key), nil, nil}})
	}
	for _, key := range []string{"kernel.pid_max", "kernel.core_pattern", "vm.swappiness", "foo.bar", "netfoo.bar", "kernel", "net", "fs.mqueue", "kernel.shmmax.x", "net.."} {
		s := Default()
		sysctl(key)(s)
		if Validate(s) == nil {
			t.Errorf("%s is accepted", key)
		}
	}
	runChecks(t, []checkCase{
		{"host's", sysctl("kernel.core_pattern"), []string{`linux.sysctl["kernel.core_pattern"]: is not of a namespace: it would be set for the whole host: remove it, or set it on the host`}, nil},
		{"hostname", sysctl("kernel.hostname"), []string{`linux.sysctl["kernel.hostname"]: is what the hostname field is for: set hostname instead`}, nil},
		{"climbs", sysctl("net/../kernel/core_pattern"), []string{`linux.sysctl["net/../kernel/core_pattern"]: is no sysctl: write it as in net.ipv4.ip_forward`}, nil},
		{"climbs in disguise", sysctl("net.//.kernel.core_pattern"), []string{`linux.sysctl["net.//.kernel.core_pattern"]: is no sysctl: write it as in net.ipv4.ip_forward`}, nil},
		{"absolute", sysctl("/net/ipv4/ip_forward"), []string{`linux.sysctl["/net/ipv4/ip_forward"]: is no sysctl: write it as in net.ipv4.ip_forward`}, nil},
		{"empty", sysctl(""), []string{`linux.sysctl[""]: is no sysctl: write it as in net.ipv4.ip_forward`}, nil},
		{"NUL", sysctl("net.\x00"), []string{`linux.sysctl["net.\x00"]: is no sysctl: write it as in net.ipv4.ip_forward`}, nil},
		{"value", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.a": "\x00"} }, []string{`linux.sysctl["net.a"]: "\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"namespaces missing", func(s *specs.Spec) {
			ns("mount")(s)
			s.Hostname = ""
			s.Linux.Sysctl = map[string]string{"net.a": "", "kernel.sem": "", "fs.mqueue.a": "", "kernel.domainname": "", "user.max_user_namespaces": ""}
		}, []string{
			`linux.sysctl["fs.mqueue.a"]: would be set for the host: add {"type": "ipc"} to linux.namespaces`,
			`linux.sysctl["kernel.domainname"]: would be set for the host: add {"type": "uts"} to linux.namespaces`,
			`linux.sysctl["kernel.sem"]: would be set for the host: add {"type": "ipc"} to linux.namespaces`,
			`linux.sysctl["net.a"]: would be set for the host: add {"type": "network"} to linux.namespaces`,
			`linux.sysctl["user.max_user_namespaces"]: would be set for the host: add {"type": "user"} to linux.namespaces`,
		}, nil},
	})
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/ip_forward": "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/100.forwarding": "net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding": "net/ipv4/conf/eth0.100/forwarding", "a": "a",
	} {
		if have, ok := SysctlPath(key); !ok || have != want {
			t.Errorf("%s: have %q, want %q", key, have, want)
		}
	}
}

func TestCheckDevices(t *testing.T) {
	devices := func(list ...specs.LinuxDevice) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Devices = list }
	}
	null := specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 3, FileMode: ptr(fs.FileMode(0o20666))}
	runChecks(t, []checkCase{
		{"devices", devices(null, specs.LinuxDevice{Path: "/dev/y", Type: "c", Major: 1, Minor: 3}, specs.LinuxDevice{Path: "/p", Type: "p", Major: -1}, null,
			specs.LinuxDevice{Path: "/dev/x", Type: "u", Major: 1, Minor: 3}, specs.LinuxDevice{Path: "/dev/z", Type: "b", Major: 4095, Minor: 1048575}), nil, nil},
		{"devices wrong", devices(null, specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 5}, specs.LinuxDevice{Type: "x"}, specs.LinuxDevice{Path: "dev/a", Type: "b", Major: 4096, Minor: -1},
			specs.LinuxDevice{Path: "/\x00", Type: "p", UID: ptr(uint32(noID))}), []string{
			`linux.devices[1].path: "/dev/x" is already what linux.devices[0] makes, which is another device: keep one of them`,
			`linux.devices[2].type: "x" is no type of device: use c (character), b (block), u (unbuffered character) or p (FIFO)`,
			"linux.devices[2].path: is missing: name the path in the container",
			"linux.devices[3].major: 4096 is out of range: use 0 to 4095",
			"linux.devices[3].minor: -1 is out of range: use 0 to 1048575",
			`linux.devices[4].path: "/\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			"linux.devices[4]: 4294967295 means no user or group to the kernel: use an id below it",
		}, []string{`linux.devices[3].path: "dev/a" is relative: taken from /`}},

		{"personality", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "LINUX32"} }, nil, nil},
		{"personality wrong", func(s *specs.Spec) {
			s.Linux.Personality = &specs.LinuxPersonality{Flags: []specs.LinuxPersonalityFlag{"a"}}
		}, []string{
			`linux.personality.domain: "" is no execution domain: use LINUX or LINUX32`,
			"linux.personality.flags: the runtime-spec knows no flags so far: remove them",
		}, nil},

		{"rdt", func(s *specs.Spec) {
			s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "/", Schemata: []string{"L3:0=f"}, L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20"}
		}, nil, nil},
		{"rdt wrong", func(s *specs.Spec) {
			s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a/b", Schemata: []string{"a", "b\nc"}, L3CacheSchema: "x", MemBwSchema: "y"}
		}, []string{
			`linux.intelRdt.closID: "a/b" is not the name of one folder: use a name without /, or "/" for the default class`,
			`linux.intelRdt.schemata[1]: "b\nc" is more than one line: write one line for each entry of schemata`,
			`linux.intelRdt.memBwSchema: "y" does not begin with MB:: write it as in MB:0=20;1=70`,
		}, []string{`linux.intelRdt.l3CacheSchema: "x" does not begin with L3:`}},
		{"rdt dots", func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: ".."} }, []string{`linux.intelRdt.closID: ".." is not the name of one folder: use a name without /, or "/" for the default class`}, nil},
	})
}

func TestCheckResources(t *testing.T) {
	resources := func(r specs.LinuxResources) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Resources = &r }
	}
	runChecks(t, []checkCase{
		{"none", func(s *specs.Spec) { s.Linux.Resources = nil }, nil, nil},
		{"fine", resources(specs.LinuxResources{
			Devices:        []specs.LinuxDeviceCgroup{{}, {Allow: true, Type: "a", Major: ptr(int64(-1)), Minor: ptr(int64(-1)), Access: "mwr"}},
			CPU:            &specs.LinuxCPU{Cpus: "0-3:1/2\n", Quota: ptr(int64(-1))},
			HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}, {Pagesize: "64KB"}, {Pagesize: "16GB"}},
			BlockIO:        &specs.LinuxBlockIO{Weight: ptr(uint16(0)), WeightDevice: []specs.LinuxWeightDevice{{Weight: ptr(uint16(1))}}},
			Network:        &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "eth0"}}},
			Rdma:           map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(1))}},
			Unified:        map[string]string{"memory.max": "max", "cgroup.freeze": "1", "new.knob": "x\ny"},
		}), nil, nil},
		{"wrong", resources(specs.LinuxResources{
			Devices:        []specs.LinuxDeviceCgroup{{Type: "p", Major: ptr(int64(-2)), Minor: ptr(int64(-3)), Access: "rx"}},
			CPU:            &specs.LinuxCPU{Cpus: "\x00", Mems: "\x00"},
			HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2M"}, {Pagesize: ""}, {Pagesize: "02MB"}},
			BlockIO:        &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{}}},
			Network:        &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "a b"}}},
			Rdma:           map[string]specs.LinuxRdma{"a\n": {}},
			Unified:        map[string]string{"": "", "..": "", "a/b": "", "../x": "", "ok": "\x00"},
		}), []string{
			`linux.resources.devices[0].type: "p" is no type of device for a cgroup: use a (all), b (block) or c (character)`,
			"linux.resources.devices[0].major: -2 is out of range: leave it out to mean all",
			"linux.resources.devices[0].minor: -3 is out of range: leave it out to mean all",
			`linux.resources.cpu.cpus: "\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`linux.resources.cpu.mems: "\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`linux.resources.hugepageLimits[0].pageSize: "2M" is no size of a huge page: write it as in 64KB, 2MB or 1GB`,
			`linux.resources.hugepageLimits[1].pageSize: "" is no size of a huge page: write it as in 64KB, 2MB or 1GB`,
			`linux.resources.hugepageLimits[2].pageSize: "02MB" is no size of a huge page: write it as in 64KB, 2MB or 1GB`,
			`linux.resources.network.priorities[0].name: "a b" is no name of a network device: name a device of the host`,
			`linux.resources.rdma["a\n"]: is no name of an RDMA device: name a device of the host`,
			`linux.resources.unified[""]: is no file of a cgroup: name one, such as memory.max`,
			`linux.resources.unified[".."]: is no file of a cgroup: name one, such as memory.max`,
			`linux.resources.unified["../x"]: is a path, not the name of a file: name a file of the container's cgroup, such as memory.max`,
			`linux.resources.unified["a/b"]: is a path, not the name of a file: name a file of the container's cgroup, such as memory.max`,
			`linux.resources.unified.ok: "\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, []string{
			`linux.resources.devices[0].access: "rx" has letters other than r, w and m: they have no effect`,
			"linux.resources.blockIO.weightDevice[0]: has neither weight nor leafWeight: without effect",
			`linux.resources.rdma["a\n"]: has neither hcaHandles nor hcaObjects: without effect`,
		}},
	})
}

func TestCheckSeccomp(t *testing.T) {
	seccomp := func(p specs.LinuxSeccomp) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Seccomp = &p }
	}
	rule := func(r specs.LinuxSyscall) func(s *specs.Spec) {
		return seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", Syscalls: []specs.LinuxSyscall{r}})
	}
	const actions = "use SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP, SCMP_ACT_ERRNO, SCMP_ACT_TRACE, SCMP_ACT_ALLOW, SCMP_ACT_LOG or SCMP_ACT_NOTIFY"
	runChecks(t, []checkCase{
		{"empty", seccomp(specs.LinuxSeccomp{}), nil, []string{"linux.seccomp: is empty: no filter is set"}},
		{"fine", seccomp(specs.LinuxSeccomp{
			DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: ptr(uint(38)), Architectures: []specs.Arch{"SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_SHEB"},
			Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"}, ListenerPath: "relative, but ignored",
			Syscalls: []specs.LinuxSyscall{{Names: []string{"read", "not_known_anywhere"}, Action: "SCMP_ACT_TRACE", ErrnoRet: ptr(uint(65535)), Args: []specs.LinuxSeccompArg{{Index: 5, Op: "SCMP_CMP_MASKED_EQ"}}}},
		}), nil, nil},
		{"default action", seccomp(specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: "SCMP_ACT_ALLOW"}}}), []string{`linux.seccomp.defaultAction: "" is no action of seccomp: ` + actions}, nil},
		{"default errno", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", DefaultErrnoRet: ptr(uint(1))}), []string{"linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW returns no errno: remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE"}, nil},
		{"lists", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", Architectures: []specs.Arch{"SCMP_ARCH_X86", "SCMP_ARCH_NATIVE"}, Flags: []specs.LinuxSeccompFlag{"FOO"}}), []string{
			`linux.seccomp.architectures[1]: "SCMP_ARCH_NATIVE" is no architecture of seccomp: use one of the runtime-spec's list, such as SCMP_ARCH_X86_64`,
			`linux.seccomp.flags[0]: "FOO" is no flag of a seccomp filter: use SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW or SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`,
		}, nil},
		{"names", rule(specs.LinuxSyscall{Names: []string{"read", "", "open\x00"}, Action: "SCMP_ACT_LOG"}), []string{
			`linux.seccomp.syscalls[0].names[1]: "" is no name of a syscall: correct or remove it`,
			`linux.seccomp.syscalls[0].names[2]: "open\x00" is no name of a syscall: correct or remove it`,
		}, nil},
		{"no names", rule(specs.LinuxSyscall{Action: "SCMP_ACT_LOG"}), nil, []string{"linux.seccomp.syscalls[0].names: is empty: the rule has no effect"}},
		{"action", rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "ALLOW", ErrnoRet: ptr(uint(1))}), []string{`linux.seccomp.syscalls[0].action: "ALLOW" is no action of seccomp: ` + actions}, nil},
		{"errno", rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "SCMP_ACT_ERRNO", ErrnoRet: ptr(uint(4096))}), []string{"linux.seccomp.syscalls[0].errnoRet: 4096 is no errno: use 0 to 4095"}, nil},
		{"errno of trace", rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "SCMP_ACT_TRACE", ErrnoRet: ptr(uint(65536))}), []string{"linux.seccomp.syscalls[0].errnoRet: 65536 does not fit into what a tracer is told: use 0 to 65535"}, nil},
		{"errno of kill", rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "SCMP_ACT_KILL", ErrnoRet: ptr(uint(1))}), []string{"linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL returns no errno: remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE"}, nil},
		{"args", rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "SCMP_ACT_KILL", Args: []specs.LinuxSeccompArg{{Op: "SCMP_CMP_EQ"}, {Index: 6, Op: "=="}}}), []string{
			"linux.seccomp.syscalls[0].args[1].index: 6 is out of range: a syscall has six arguments: use 0 to 5",
			`linux.seccomp.syscalls[0].args[1].op: "==" is no comparison: use SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT or SCMP_CMP_MASKED_EQ`,
		}, nil},
		{"notify", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", ListenerPath: "/run/agent.sock", ListenerMetadata: "x", Syscalls: []specs.LinuxSyscall{{Names: []string{"mount"}, Action: "SCMP_ACT_NOTIFY"}}}), nil, nil},
		{"notify without agent", rule(specs.LinuxSyscall{Names: []string{"mount"}, Action: "SCMP_ACT_NOTIFY"}), []string{"linux.seccomp.listenerPath: is missing, and a rule asks an agent with SCMP_ACT_NOTIFY: name the agent's socket"}, nil},
		{"notify by annotation", func(s *specs.Spec) {
			s.Annotations = map[string]string{"run.oci.seccomp.receiver": "/run/agent.sock"}
			rule(specs.LinuxSyscall{Names: []string{"mount"}, Action: "SCMP_ACT_NOTIFY"})(s)
		}, nil, nil},
		{"notify relative", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_NOTIFY", ListenerPath: "a.sock"}), []string{`linux.seccomp.listenerPath: "a.sock" is relative: make it absolute`}, nil},
		{"listener NUL", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", ListenerPath: "/a\x00"}), []string{`linux.seccomp.listenerPath: "/a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"metadata alone", seccomp(specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_ALLOW", ListenerMetadata: "x"}), nil, []string{"linux.seccomp.listenerMetadata: ignored, since there is no listenerPath"}},
	})
	for _, arch := range []string{
		"X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE",
		"S390", "S390X", "PARISC", "PARISC64", "RISCV64", "LOONGARCH64", "M68K", "SH", "SHEB",
	} {
		if !seccompArch(specs.Arch("SCMP_ARCH_" + arch)) {
			t.Errorf("SCMP_ARCH_%s is not known", arch)
		}
	}
}
