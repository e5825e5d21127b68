package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A container that shares its volume with others exchanges folders, files and links in it at full speed while they
// start. The rootfs of the others is in the volume too, so that the exchanges meet every path that set-up touches.

// exchanging marks a start of the test process as the attacker's in a container; its value is the exchanges to make,
// each "folder name name".
const exchanging = "BERTH_TEST_EXCHANGE"

// exchangeForEver makes one exchange after another, and says how many it made.
func exchangeForEver(list string) {
	type pair struct {
		folder int
		a, b   string
	}
	var pairs []pair
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		fd, err := unix.Open(words[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			fmt.Println("open", words[0], err)
			os.Exit(1)
		}
		pairs = append(pairs, pair{fd, words[1], words[2]})
	}
	for made := 0; ; {
		for _, p := range pairs {
			if err := unix.Renameat2(p.folder, p.a, p.folder, p.b, unix.RENAME_EXCHANGE); err != nil {
				fmt.Println("exchange", p.a, p.b, err)
				os.Exit(1)
			}
			made++
		}
		if made%(1000*len(pairs)) == 0 {
			fmt.Println("exchanges:", made)
		}
	}
}

// plantExchanges fills the rootfs that the containers share with something to exchange for everything that set-up
// opens or makes there, and gives the list for exchangeForEver, of paths as the attacker sees them, below /vol.
func plantExchanges(t *testing.T, w *canary, volume string) string {
	t.Helper()
	rootfs := filepath.Join(volume, "rootfs")
	up := strings.Repeat("../", 30)
	var list strings.Builder
	folder := func(name, target string) {
		if err := os.MkdirAll(filepath.Join(rootfs, name), 0o755); err != nil {
			t.Fatal(err)
		}
		symlink(t, target, filepath.Join(rootfs, name+".link"))
		line := fmt.Sprintf("/vol/rootfs/%s %s %s.link\n", filepath.Dir(name), filepath.Base(name), filepath.Base(name))
		if name == "proc" || name == "sys" {
			list.WriteString(line) // and back at once: few would come further otherwise
		}
		list.WriteString(line)
	}
	for name, target := range map[string]string{
		"dev": w.folder + "/dev", "dev/net": w.folder + "/folder", "proc": up + w.folder + "/proc", "sys": w.folder + "/sys", "etc": w.folder,
		"data": w.folder, "data/sub": up + w.folder + "/folder", "work": "/proc/1/root" + w.folder, "copy": w.folder, "copy/in": up + w.folder,
		"hidden": w.folder, "fixed": up + w.folder + "/folder", "opt": "/proc/self/fd/3", "tmp": "..",
	} {
		folder(name, target)
	}
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "copy/in/file": "text\n", "data/sub/file": "text\n"} {
		path := filepath.Join(rootfs, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path+".fifo", 0o666); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "/vol/rootfs/%s %s %s.fifo\n", filepath.Dir(name), filepath.Base(name), filepath.Base(name))
	}
	return list.String()
}

// racedConfigs are what the victims ask for: between them, everything that is looked up in the rootfs.
func racedConfigs() []option {
	tmpfs := func(target string, options ...string) option {
		return withMounts(specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	device := func(path string) option {
		return withLinux(func(l *specs.Linux) {
			l.Devices = append(l.Devices, specs.LinuxDevice{Path: path, Type: "c", Major: 1, Minor: 3, UID: ptr(uint32(77))})
		})
	}
	return []option{
		func(s *specs.Spec) { ownDev(s); device("/dev/net/tun")(s) },
		func(s *specs.Spec) { tmpfs("/data/sub/new/deep")(s); tmpfs("/tmp/deep")(s) },
		func(s *specs.Spec) {
			withMounts(fileMount("/data/sub/file"), fileMount("/etc/resolv.conf"), fileMount("/data/other/file"))(s)
		},
		func(s *specs.Spec) { tmpfs("/copy", "tmpcopyup")(s); tmpfs("/data/sub", "tmpcopyup", "silent")(s) },
		func(s *specs.Spec) { tmpfs("/copy", "tmpcopyup")(s) },
		func(s *specs.Spec) {
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/hidden", "/hidden/file", "/data/sub/file", "/etc/passwd")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/fixed", "/data/sub", "/etc")
		},
		func(s *specs.Spec) { s.Process.Cwd = "/work/new/deep"; s.Process.Env = []string{"PATH=/opt:/bin"} },
		func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			s.Process.OOMScoreAdj = ptr(100)
			device("/data/sub/null")(s)
		},
		func(s *specs.Spec) {
			ownDev(s)
			withMounts(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance"}}, fileMount("/dev/null"))(s)
		},
		withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro"}}),
	}
}

func TestRacedRootfs(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "paths that are looked up once")
	starts, workers := 2000, 4
	switch {
	case os.Getenv("BERTH_VM") != "":
		// An emulated processor does the attacker's work and theirs in turns: each config four times.
		starts = 4 * len(racedConfigs())
	case testing.Short():
		starts = 200
	}
	attacker := newContainer(t)
	w := newCanary(t, attacker)
	volume := volume(t, attacker, nil)
	makeRootfs(t, filepath.Join(volume, "rootfs"))
	list := plantExchanges(t, w, volume)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	attacker.reconfigure(bindAt(volume, "/vol"), withHostProgram("/swapper", self), withArgs("/swapper"), withProcess(func(p *specs.Process) {
		p.Env = append(p.Env, exchanging+"="+list)
	}))
	attacker.create().ok(t)
	attacker.start().ok(t)
	swaps := func() string { return attacker.output() }
	waitFor(t, "the attacker's first exchanges", func() bool { return strings.Contains(swaps(), "exchanges:") })

	var next, ran, refusals atomic.Int64
	// Not with t.Parallel, which waits until other tests have ended: the attacker would be at it all the while.
	var victims sync.WaitGroup
	for range workers {
		victims.Go(func() {
			t.Run("victim", func(t *testing.T) {
				c := newContainer(t)
				for n := next.Add(1); n <= int64(starts) && !t.Failed(); n = next.Add(1) {
					configs := racedConfigs()
					if raceOnce(t, c, filepath.Join(volume, "rootfs"), configs[n%int64(len(configs))], w) {
						ran.Add(1)
					} else {
						refusals.Add(1)
					}
				}
			})
		})
	}
	victims.Wait()
	want(t, "the attacker's status", attacker.state().Status, "running")
	lines := strings.Split(strings.TrimSpace(swaps()), "\n")
	t.Logf("%d ran, %d were refused, %s", ran.Load(), refusals.Load(), lines[len(lines)-1])
	if ran.Load() == 0 || refusals.Load() == 0 {
		t.Error("the race was none")
	}
}

// withHostProgram shows the container a program of the host's, and the libraries that it may want.
func withHostProgram(target, program string) option {
	return func(s *specs.Spec) {
		for target, source := range map[string]string{target: program, "/lib": "/lib", "/lib64": "/lib64"} {
			if _, err := os.Stat(source); err == nil {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: target, Source: source, Options: []string{"rbind", "ro"}})
			}
		}
	}
}

// raceOnce runs one container and tells whether its process ran.
func raceOnce(t *testing.T, c *container, rootfs string, config option, w *canary) bool {
	t.Helper()
	c.reconfigure(func(s *specs.Spec) { s.Root.Path = rootfs }, config,
		withScript("for f in /etc/passwd /etc/file /data/file /data/sub/file /copy/file /copy/in/file /hidden/file /fixed/file /work/file; do [ -f $f ] && timeout -s KILL 2 cat $f 2>&1; done; echo ran"))
	r := c.run()
	if strings.Contains(r.stdout+r.stderr, secret) {
		t.Errorf("the container printed the secret: %s", r.stdout)
	}
	if now := w.look(); !maps.Equal(now, w.before) {
		t.Errorf("the host's files were touched:\n%v\n%v", now, w.before)
	}
	if strings.Contains(r.stdout, "ran\n") {
		return true
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "berth: ") || strings.Contains(r.stderr, "EOF") || r.code == 0 {
		t.Errorf("exit code %d, and not one line on standard error: %q", r.code, r.stderr)
	}
	for _, field := range []string{"mounts[", "linux.", "default devices", "process."} {
		if strings.Contains(r.stderr, field) {
			return false
		}
	}
	t.Errorf("no place in config.json is named: %s", r.stderr)
	return false
}
