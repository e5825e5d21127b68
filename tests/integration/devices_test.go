package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The default devices are there with their numbers and rights and can be used; the customary links too.
func TestDefaultDevices(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript(`
		for d in null zero full random urandom tty; do stat -c "$d %F %t:%T %a %u:%g" /dev/$d; done
		for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done
		head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c; echo x > /dev/null; cat /dev/null
		echo x 2>&1 > /dev/full; test -e /dev/console && echo a console; exit 0`))
	r := c.run().ok(t)
	wantContains(t, "output", r.stdout,
		"null character special file 1:3 666 0:0\n", "zero character special file 1:5 666 0:0\n",
		"full character special file 1:7 666 0:0\n", "random character special file 1:8 666 0:0\n",
		"urandom character special file 1:9 666 0:0\n", "tty character special file 5:0 666 0:0\n",
		"fd /proc/self/fd\n", "stdin /proc/self/fd/0\n", "stdout /proc/self/fd/1\n", "stderr /proc/self/fd/2\n",
		"ptmx pts/ptmx\n", "\n2\n2\n")
	wantContains(t, "output", r.stdout+r.stderr, "No space left on device")
	if strings.Contains(r.stdout, "a console") {
		t.Error("there is a /dev/console without a terminal")
	}
}

// Without a mount on /dev the nodes are made in the rootfs itself.
func TestDevicesWithoutDevMount(t *testing.T) {
	t.Parallel()
	c := newContainer(t, func(s *specs.Spec) { s.Mounts = s.Mounts[:1] },
		withScript("stat -c %t:%T /dev/null; echo x > /dev/null; readlink /dev/ptmx"))
	want(t, "output", c.run().ok(t).stdout, "1:3\npts/ptmx\n")
}

// Configured devices have the type, numbers, mode and owner of the config, in /dev and elsewhere.
func TestConfiguredDevices(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withLinux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{
				{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: ptr(os.FileMode(0o640)), UID: ptr(uint32(3)), GID: ptr(uint32(4))},
				{Path: "/dev/deep/loop", Type: "b", Major: 7, Minor: 300, FileMode: ptr(os.FileMode(0o600))},
				{Path: "/srv/outside-dev", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o777))},
				{Path: "/dev/a-pipe", Type: "p", FileMode: ptr(os.FileMode(0o622))},
				{Path: "/dev/unbuffered", Type: "u", Major: 1, Minor: 5, FileMode: ptr(os.FileMode(0o666))},
			}
		}),
		withScript("umask 077; stat -c '%n %F %t:%T %a %u:%g' /dev/fuse /dev/deep/loop /srv/outside-dev /dev/a-pipe /dev/unbuffered"))
	want(t, "output", c.run().ok(t).stdout, strings.Join([]string{
		"/dev/fuse character special file a:e5 640 3:4",
		"/dev/deep/loop block special file 7:12c 600 0:0",
		"/srv/outside-dev character special file 1:3 777 0:0",
		"/dev/a-pipe fifo 0:0 622 0:0",
		"/dev/unbuffered character special file 1:5 666 0:0", "",
	}, "\n"))
}

// Also under a umask of the caller's that would take rights away.
func TestDevicesUnderUmask(t *testing.T) {
	needsRoot(t) // not parallel: the umask is the whole process's
	c := newContainer(t, withScript("stat -c '%n %a' /dev/null /dev/zero /dev/pts /dev/shm"))
	old := unix.Umask(0o077)
	r := c.run()
	unix.Umask(old)
	want(t, "output", r.ok(t).stdout, "/dev/null 666\n/dev/zero 666\n/dev/pts 755\n/dev/shm 1777\n")
}

// What exists at a device's path already and is not that device is refused with the field; what is, is taken.
func TestDeviceThatExists(t *testing.T) {
	t.Parallel()
	devices := withLinux(func(l *specs.Linux) {
		l.Devices = []specs.LinuxDevice{{Path: "/srv/node", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o666))}}
	})
	same := newContainer(t, devices, withScript("echo x > /srv/node; echo taken"))
	srv := filepath.Join(same.rootfs, "srv")
	if err := os.Mkdir(srv, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(srv, "node"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	want(t, "output", same.run().ok(t).stdout, "taken\n")

	newerThanReference(t, "the check of what stands at a device's path")
	other := newContainer(t, devices)
	other.writeFile("srv/node", "a file", 0o644)
	r := other.run().exits(t, 1)
	wantContains(t, "error", r.stderr, "linux.devices[0]", "/srv/node")
}

// A device that cannot be made is refused with the field.
func TestBadDevices(t *testing.T) {
	hostUnchanged(t)
	for _, device := range []specs.LinuxDevice{
		{Path: "/dev/x", Type: "x", Major: 1, Minor: 3},
		{Path: "", Type: "c", Major: 1, Minor: 3},
	} {
		c := newContainer(t, withLinux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{device} }))
		if !isBerth() && device.Type != "x" {
			continue // runc makes them where it likes
		}
		r := c.run().exits(t, 1)
		if isBerth() {
			wantContains(t, "error", r.stderr, "linux.devices[0]")
		}
	}
}

// The default devices work under an allowed device list that denies everything, as engines write it.
func TestDefaultDevicesWhenAllAreDenied(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withLinux(func(l *specs.Linux) {
			l.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
		}),
		withScript("for d in null zero full random urandom; do head -c 0 /dev/$d || exit 1; done; echo x > /dev/null && echo fine"))
	want(t, "output", c.run().ok(t).stdout, "fine\n")
}
