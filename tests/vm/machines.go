package main

import (
	"fmt"
	"path"
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
	trixie = image{"trixie", []string{"base", "runtimes", "rootless", "lsm", "checkpoint"}}
	// bookworm has the last Debian kernel with cgroup v1's memory and cpuset controllers (6.1), and the last
	// Debian systemd that mounts v1 without being forced to.
	bookworm = image{"bookworm", []string{"base", "runtimes"}}
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
	before  string // shell commands that root runs first; the job fails when one does
	after   string // shell commands that root runs afterwards, for what the tests cannot see themselves; likewise
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
	return job{name: name, account: account, pkg: "tests/integration", deadline: 10 * time.Minute, env: env}
}

// systemdDriver is what the suite reads to ask the runtime for --systemd-cgroup.
const systemdDriver = "BERTH_TEST_CGROUP_DRIVER=systemd"

// bySystemd makes sure that the job's containers were in scopes of systemd's, else it showed nothing about that
// driver. $began is when the job began, in seconds.
func bySystemd(j job) job {
	if j.account == "root" {
		j.after = `journalctl --sync; journalctl --quiet --since @$began --output cat _PID=1 | grep -q 'Started .*\.scope' || {
	echo "systemd (process 1) started no scope during this job: were the containers made with --systemd-cgroup?"
	exit 1
}`
	}
	return j
}

// machines lists all machines in the order in which they boot.
func machines() []machine {
	return []machine{
		{
			name: "v1", about: "Linux 6.1, no systemd: cgroup v1 alone, then hybrid",
			image: bookworm, cmdline: "berth.init=plain",
			jobs: []job{
				selfTest("root", "v1", "container"),
				integration("root", "root"),
				hybrid(integration("hybrid-root", "root")),
			},
		},
		{
			name: "unified", about: "Linux 6.12, systemd 257, AppArmor, two NUMA nodes: cgroup v2",
			image: trixie, cmdline: "apparmor=1 security=apparmor", numa: true,
			jobs: []job{
				selfTest("root", "v2", "systemd", "apparmor", "numa", "container"),
				selfTest("service", "user-manager", "delegation"),
				selfTest("login", "user-manager", "no-delegation"),
				integration("root-cgroupfs", "root"),
				bySystemd(integration("root-systemd", "root", systemdDriver)),
				integration("rootless-cgroupfs", "service"),
				bySystemd(integration("rootless-systemd", "service", systemdDriver)),
			},
		},
		{
			name: "selinux", about: "as unified, with SELinux (permissive) in place of AppArmor",
			image: trixie, cmdline: "security=selinux selinux=1 enforcing=0",
			jobs: []job{
				selfTest("root", "v2", "systemd", "selinux", "container"),
				only("SELinux", integration("labels", "root")),
			},
		},
		{
			name: "v1-systemd", about: "Linux 6.1, systemd 252 in its legacy layout: cgroup v1 with the systemd driver",
			image: bookworm, cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
			jobs: []job{
				selfTest("root", "v1", "systemd", "container"),
				bySystemd(integration("root-systemd", "root", systemdDriver)),
			},
		},
	}
}

// hybrid adds a v2 hierarchy beside those of v1 for the job and all that come after it in the boot.
func hybrid(j job) job {
	j.before = `mount -o remount,rw /sys/fs/cgroup
mkdir /sys/fs/cgroup/unified
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup/unified
mount -o remount,ro /sys/fs/cgroup`
	return j
}

// only runs those tests alone whose name matches.
func only(pattern string, j job) job {
	j.run = pattern
	return j
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
