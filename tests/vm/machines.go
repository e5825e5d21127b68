package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// image is a root disk with its kernel, made from Debian packages by the script ./image.
type image struct {
	suite string   // Debian release
	lists []string // files in packages/
}

var (
	// trixie has a recent kernel and systemd, with every cgroup controller on v2.
	trixie = image{"trixie", []string{"base", "runtimes", "rootless", "lsm", "checkpoint", "engines", "module"}}
	// bookworm has the last Debian kernel with cgroup v1's memory and cpuset controllers (6.1), and the last
	// Debian systemd that mounts v1 without being forced to.
	bookworm = image{"bookworm", []string{"base", "runtimes", "rootless"}}
	// bullseye has Linux 5.10, the oldest kernel that berth runs on. It is no longer a part of Debian that is looked
	// after, and leaves the mirrors one day.
	bullseye = image{"bullseye", []string{"base", "runtimes", "rootless"}}
)

// machine is one boot of an image and what runs during it.
type machine struct {
	name  string
	about string
	image image
	// cmdline is what the kernel's command line gets beside what every machine has. berth.init=plain is read by
	// guest/handover.
	cmdline string
	numa    bool // two NUMA nodes, one CPU each
	jobs    []job
}

// job is one run of a package's tests in a machine, or of part of them.
type job struct {
	name    string
	account string // whose it is, see guest/as: root, service or login
	pkg     string // folder of the tests' package, from the top of the module
	run     string // for -test.run; "" for all
	env     []string
	files   []string // what else the tests read, beside what is under tests/; from the top of the module
	program string   // folder of a module of its own, whose program the tests call as build/NAME
	before  string   // shell commands that root runs first; the job fails when one does
	after   string   // shell commands that root runs afterwards, for what the tests cannot see themselves; likewise
	// more marks a job that runs only when a pattern names it, or with -all: what make test has no time for.
	more bool
	// deadline ends the job. Tests get most of it as their -test.timeout, so that Go can say where they hung.
	deadline time.Duration
}

// selfTest finds out whether the machine is what the suite takes it for: it goes first in each boot.
// checks are names that its checkNamed knows.
func selfTest(account string, checks ...string) job {
	name := "machine"
	if account != "root" {
		name += "-" + account
	}
	return job{
		name: name, account: account, pkg: "tests/vm/machine", deadline: 2 * time.Minute,
		env: []string{"BERTH_VM_EXPECT=" + strings.Join(checks, ",")},
	}
}

// integration is the whole suite, as one account with one cgroup driver.
func integration(name, account string, env ...string) job {
	return job{name: name, account: account, pkg: "tests/integration", deadline: 25 * time.Minute, env: env}
}

// aroundCgroups matches the tests of the suite whose outcome can depend on the cgroup layout or driver: for layouts and
// kernels beside those that the whole suite runs on. All machines together are to fit into 25 minutes of two processors.
const aroundCgroups = "Cgroup|Limit|Holds|Shares|Weight|Quota|DeviceRules|Rounds|Pause|Update|Events|Kill|Delete|Lifecycle|Ps|Concurrent"

// aroundSystemd matches those of them that machines take which have systemd's driver for no more than that.
const aroundSystemd = "Cgroup|Limit|Holds|Shares|Weight|Quota|DeviceRules|Rounds|Pause|Update|Events|Lifecycle"

// limitsHold matches the tests that see the kernel enforce a limit from inside.
const limitsHold = "Holds$|TestPidsLimit|TestMemoryLimit|TestEventsOOM|TestQuota|TestShares|TestDeviceRules"

// aroundTheProcess and aroundMounts match further parts of the suite, for one more kernel.
const (
	aroundTheProcess = "Exec|Terminal|Seccomp|Notify|Hook|Signal|Schedul|Affinity|Priority|F[Dd]s|Descriptor|Keyring|Capab|Rlimit|Cwd|Personality|NoNewPriv"
	aroundMounts     = "Mount|IDMap|Mask|Readonly|UserNamespace|Namespaces|NetDevices|Device|FUSE|Symlink|CVE"
)

// whole gives a job the time that all of the suite takes under emulation, with a second machine beside it.
func whole(j job) job {
	j.deadline = 40 * time.Minute
	return j
}

// The whole suite in two parts, each for a boot of its own: so that of two machines at a time none is left alone for
// long.
const (
	firstPart  = "^Test[A-M]"
	secondPart = "^Test[^A-M]"
)

// rdma is the test of limits on RDMA devices, with a device that is made of the loopback interface. It is not made for
// the whole suite: the kernel keeps something of each such device in every network namespace.
func rdma(j job) job {
	j.before += "modprobe rdma_rxe\nrdma link show rxe0/1 2>/dev/null || rdma link add rxe0 type rxe netdev lo\n"
	return only("TestRDMA", j)
}

// misc is the test of limits on what the misc controller counts, with keys of the module that the image has for it.
func misc(j job) job {
	j.before += "modprobe misc_keys\n"
	return only("TestMisc", j)
}

// session is the part of ./session whose names match: what takes systemd or an ordinary user.
func session(name, account, run string) job {
	return job{name: name, account: account, pkg: "tests/vm/session", run: run, deadline: 6 * time.Minute}
}

// engines are the tests of container engines that need systemd.
func engines(name, account, run string) job {
	j := job{name: name, account: account, pkg: "tests/engines", run: run, deadline: 8 * time.Minute}
	j.files, j.program = []string{"docs/engines.md"}, "tests/engines/cri"
	return j
}

// cgroupTests are the tests of a package of berth's own that need a layout, or a systemd, that few machines have.
func cgroupTests(name, account, pkg, run string) job {
	return job{name: name, account: account, pkg: pkg, run: run, deadline: 4 * time.Minute}
}

// systemdDriver is what the suite reads to ask the runtime for --systemd-cgroup.
const systemdDriver = "BERTH_TEST_CGROUP_DRIVER=systemd"

// bySystemd makes sure that the job's containers were in scopes of systemd's, else it showed nothing about that
// driver. $began is when the job began, in seconds; the message's id is that of a unit that was started
// (systemd.journal-fields(7)), whose wording changed from one systemd to the next.
func bySystemd(j job) job {
	manager := "_PID=1"
	if j.account != "root" {
		manager = "_SYSTEMD_UNIT=user@$(id -u tester).service"
	}
	j.after = `journalctl --sync; journalctl --quiet --since @$began --output json ` + manager + ` MESSAGE_ID=39f53479d3a045ac8e11786248231fbf |
	grep -o 'UNIT":"[^"]*\.scope"' | grep -Eqv '"(init\.|session-)' || {
	echo "systemd started no scope during this job: were the containers made with --systemd-cgroup?"
	exit 1
}`
	return j
}

// machines lists all machines in the order in which they boot: the longest first, so that none is left alone at the end.
func machines() []machine {
	return []machine{
		{
			name: "systemd", about: "as unified: cgroup v2 by systemd",
			image: trixie, cmdline: "apparmor=1 security=apparmor",
			jobs: []job{
				selfTest("root", "v2", "misc", "systemd", "container"),
				bySystemd(whole(only(firstPart, integration("whole-1", "root", systemdDriver)))),
				cgroupTests("live", "root", "cgroups/systemd", "TestLive"),
				session("session-root", "root", "TestSystemd|TestDevices"),
				cgroupTests("live-service", "service", "cgroups/systemd", "TestLive"),
				bySystemd(only("Rootless", integration("rootless-service", "service", systemdDriver))),
				bySystemd(rdma(integration("rdma", "root", systemdDriver))),
				bySystemd(misc(integration("misc", "root", systemdDriver))),
				session("session-service", "service", "TestSystemdScope|TestDelegated"),
				session("session-login", "login", "TestSystemdScope"),
				bySystemd(engines("engines-root", "root", "TestSystemd")),
				engines("engines-login", "login", "TestSystemdPodman"),
			},
		},
		{
			name: "v1", about: "Linux 6.1, no systemd: cgroup v1 alone, then hybrid",
			image: bookworm, cmdline: "berth.init=plain apparmor=0",
			jobs: []job{
				selfTest("root", "v1", "container"),
				// Linux 6.1 has no idmapped mounts of /tmp, a tmpfs.
				whole(integration("whole", "root", "TMPDIR=/var/tmp")),
				cgroupTests("cgroupfs", "root", "cgroups/fs", "TestHost"),
				rdma(integration("rdma", "root")),
				only(limitsHold, hybrid(rdma(integration("hybrid-limits", "root")))),
				more(hybrid(only(aroundCgroups, integration("hybrid", "root")))),
			},
		},
		{
			name: "systemd-2", about: "systemd once more: for the other part of the suite",
			image: trixie, cmdline: "apparmor=1 security=apparmor",
			jobs: []job{
				selfTest("root", "v2", "misc", "systemd", "container"),
				bySystemd(whole(only(secondPart, integration("whole-2", "root", systemdDriver)))),
			},
		},
		{
			name: "unified", about: "Linux 6.12, systemd 257, AppArmor, two NUMA nodes: cgroup v2 by cgroupfs",
			image: trixie, cmdline: "apparmor=1 security=apparmor", numa: true,
			jobs: []job{
				selfTest("root", "v2", "misc", "systemd", "apparmor", "numa", "container"),
				selfTest("service", "user-manager", "delegation"),
				selfTest("login", "user-manager", "no-delegation"),
				whole(only(firstPart, integration("whole-1", "root"))),
				cgroupTests("cgroupfs", "root", "cgroups/fs", "TestHost"),
				only("Rootless", integration("rootless-service", "service")),
				only("Rootless", integration("rootless-login", "login")),
				session("session-login", "login", "TestLimitWithoutDelegation"),
				rdma(integration("rdma", "root")),
				misc(integration("misc", "root")),
			},
		},
		{
			name: "unified-2", about: "unified once more: for the other part of the suite",
			image: trixie, cmdline: "apparmor=1 security=apparmor", numa: true,
			jobs: []job{
				selfTest("root", "v2", "misc", "systemd", "apparmor", "numa", "container"),
				whole(only(secondPart, integration("whole-2", "root"))),
			},
		},
		{
			name: "v1-systemd", about: "Linux 6.1, systemd 252 in its legacy layout: cgroup v1 with the systemd driver",
			image: bookworm, cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 lsm=landlock,yama,bpf",
			jobs: []job{
				selfTest("root", "v1", "systemd", "container"),
				bySystemd(only(aroundSystemd, integration("root-systemd", "root", systemdDriver))),
				cgroupTests("systemd", "root", "cgroups/systemd", "TestLive"),
				session("session-root", "root", "TestSystemd|TestDevices"),
				bySystemd(rdma(integration("rdma", "root", systemdDriver))),
			},
		},
		{
			name: "selinux", about: "as unified, with SELinux (permissive) in place of AppArmor",
			image: trixie, cmdline: "security=selinux selinux=1 enforcing=0",
			jobs: []job{
				selfTest("root", "v2", "misc", "systemd", "selinux", "container"),
				only("SELinux|Label|MountContext", integration("labels", "root")),
				more(only("TestCRIU", integration("criu", "root"))),
			},
		},
		oldest(),
	}
}

// oldest is the machine with the oldest kernel that berth runs on.
func oldest() machine {
	return machine{
		name: "oldest", about: "Linux 5.10, systemd 247: cgroup v2 by cgroupfs, then by systemd",
		image: bullseye, cmdline: "lsm=yama,bpf",
		jobs: []job{
			more(selfTest("root", "v2", "systemd", "container")),
			more(only(aroundCgroups, integration("root-cgroupfs", "root"))),
			more(only(aroundTheProcess, integration("process", "root"))),
			more(only(aroundMounts, integration("mounts", "root"))),
			more(cgroupTests("cgroupfs", "root", "cgroups/fs", "TestHost")),
			more(only("Rootless", integration("rootless-service", "service"))),
			more(bySystemd(only(aroundSystemd, integration("root-systemd", "root", systemdDriver)))),
			more(whole(integration("whole", "root"))),
		},
	}
}

// hybrid adds a v2 hierarchy beside those of v1 for the job and all that come after it in the boot.
func hybrid(j job) job {
	j.before += `mountpoint -q /sys/fs/cgroup/unified || {
	mount -o remount,rw /sys/fs/cgroup
	mkdir /sys/fs/cgroup/unified
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup/unified
	mount -o remount,ro /sys/fs/cgroup
}
`
	return j
}

// only runs those tests alone whose name matches.
func only(pattern string, j job) job {
	j.run = pattern
	return j
}

// more leaves the job out where nobody asks for it.
func more(j job) job {
	j.more = true
	return j
}

// usual drops the jobs that run only when they are asked for, and the machines that have no other.
func usual(all []machine) []machine {
	kept := slices.Clone(all)
	for i := range kept {
		kept[i].jobs = slices.DeleteFunc(slices.Clone(kept[i].jobs), func(j job) bool { return j.more })
	}
	return slices.DeleteFunc(kept, func(m machine) bool { return len(m.jobs) == 0 })
}

// selectJobs keeps the jobs whose "machine/job" matches one of the shell patterns (path.Match; a pattern without a
// slash is a machine's name), and the machines that still have one. No pattern keeps all.
func selectJobs(all []machine, patterns []string) ([]machine, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	used := make([]bool, len(patterns))
	var kept []machine
	for _, m := range all {
		jobs := m.jobs
		m.jobs = nil
		for _, j := range jobs {
			keep := false
			for i, pattern := range patterns {
				if !strings.Contains(pattern, "/") {
					pattern += "/*"
				}
				ok, err := path.Match(pattern, m.name+"/"+j.name)
				if err != nil {
					return nil, fmt.Errorf("job pattern %q: %w", patterns[i], err)
				}
				if ok {
					keep, used[i] = true, true
				}
			}
			if keep {
				m.jobs = append(m.jobs, j)
			}
		}
		if len(m.jobs) > 0 {
			kept = append(kept, m)
		}
	}
	for i, pattern := range patterns {
		if !used[i] {
			return nil, fmt.Errorf("no job matches %q: see tests/vm/run -list", pattern)
		}
	}
	return kept, nil
}
