package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ip calls ip(8) of the host.
func ip(t *testing.T, args ...string) string {
	t.Helper()
	return runProgram(t, "ip", args...)
}

// device makes a network device on the host, up, with an address of each family and one of the link's own, and sees to
// its end. Its peer is up too.
func device(t *testing.T) string {
	t.Helper()
	needsRoot(t)
	name := fmt.Sprintf("bt%dx%d", os.Getpid(), lastID.Add(1))
	ip(t, "link", "add", name, "type", "veth", "peer", "name", name+"p")
	t.Cleanup(func() {
		// It may be about to go, with the network namespace that its peer was in.
		if _, err := outputOf("ip", "link", "del", name+"p"); err != nil {
			if _, gone := outputOf("ip", "link", "show", name+"p"); gone == nil {
				t.Errorf("remove the device of the test: %v", err)
			}
		}
	})
	ip(t, "link", "set", name, "up")
	ip(t, "link", "set", name+"p", "up")
	ip(t, "addr", "add", "192.0.2.7/24", "broadcast", "+", "dev", name, "label", name+":a")
	ip(t, "addr", "add", "198.51.100.1", "peer", "198.51.100.2/32", "dev", name)
	ip(t, "-6", "addr", "add", "2001:db8::7/64", "dev", name, "nodad")
	ip(t, "addr", "add", "169.254.9.9/16", "scope", "link", "dev", name)
	return name
}

// addresses shortens what ip shows of a device to the addresses of global scope, and whether it is up.
func addresses(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 2 && strings.HasSuffix(words[0], ":") && strings.Contains(words[2], ",UP"):
			out = append(out, "up")
		case len(words) > 2 && strings.HasPrefix(words[0], "inet") && strings.Contains(line, "scope global"):
			address := words[1]
			if words[2] == "peer" {
				address += " peer " + words[3]
			}
			out = append(out, address)
		}
	}
	return strings.Join(out, ", ")
}

// ofDevice are the addresses that device sets.
const ofDevice = "up, 192.0.2.7/24, 198.51.100.1 peer 198.51.100.2/32, 2001:db8::7/64"

func withNetDevices(devices map[string]specs.LinuxNetDevice) option {
	return withLinux(func(l *specs.Linux) { l.NetDevices = devices })
}

// A device is moved in with its addresses of global scope, up, under its own name, another, or one with a number.
func TestNetDevices(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "netDevices (runtime-spec 1.3)")
	for given, inside := range map[string]string{"": "", "other": "other", "eth%d": "eth0"} {
		t.Run("name "+given, func(t *testing.T) {
			name := device(t)
			if inside == "" {
				inside = name
			}
			c := newContainer(t, withNetDevices(map[string]specs.LinuxNetDevice{name: {Name: given}}), withScript("ip addr show dev "+inside))
			out := c.run().ok(t).stdout
			want(t, "addresses inside", addresses(out), ofDevice)
			want(t, "the link's own address is there", strings.Contains(out, "169.254.9.9"), false)
		})
	}
}

// Several devices, and in a user namespace: its root owns the network namespace.
func TestNetDevicesInUserNamespace(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "netDevices (runtime-spec 1.3)")
	one, two := device(t), device(t)
	c := inUserNamespace(t, withUserNamespace, withScript("ip addr show dev net1; ip addr show dev net0"),
		withNetDevices(map[string]specs.LinuxNetDevice{one: {Name: "net%d"}, two: {Name: "net%d"}}))
	want(t, "addresses inside", addresses(c.run().ok(t).stdout), ofDevice+", "+ofDevice)
}

// Hooks of createRuntime find the devices moved, and sysctl their names.
func TestNetDevicesComeBeforeHooks(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "netDevices (runtime-spec 1.3)")
	name := device(t)
	found := filepath.Join(hostFolder(t), "found")
	c := newContainer(t, withNetDevices(map[string]specs.LinuxNetDevice{name: {Name: "dev0"}}),
		withLinux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net.ipv4.conf.dev0.forwarding": "1"} }),
		withHook("createRuntime", specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c",
			`pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/'); nsenter --net=/proc/$pid/ns/net ip addr show dev dev0 > ` + found},
			Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}),
		withScript("cat /proc/sys/net/ipv4/conf/dev0/forwarding"))
	want(t, "sysctl", c.run().ok(t).stdout, "1\n")
	text, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "what the hook found", addresses(string(text)), ofDevice)
}

// When create fails, what was moved is back where it was, as it was.
func TestNetDevicesAreGivenBack(t *testing.T) {
	berthOnly(t, "a device that was moved comes back")
	one, two := device(t), device(t)
	before := addresses(ip(t, "addr", "show", "dev", one))
	want(t, "addresses before", before, ofDevice)
	renamed := map[string]specs.LinuxNetDevice{one: {Name: "same"}}
	taken := map[string]specs.LinuxNetDevice{one: {Name: "same"}, two: {Name: "lo"}}
	missing := map[string]specs.LinuxNetDevice{one: {Name: "eth%d"}, "zz-none": {}}
	for name, c := range map[string]struct {
		options []option
		says    []string
	}{
		"name is taken":   {[]option{withNetDevices(taken)}, []string{"linux.netDevices." + two, "has a device lo already", "%d"}},
		"missing device":  {[]option{withNetDevices(missing)}, []string{"linux.netDevices.zz-none", "no network device"}},
		"missing program": {[]option{withNetDevices(renamed), withArgs("/no/such")}, []string{"/no/such"}},
		"failing hook": {[]option{withNetDevices(renamed), withHook("createRuntime", specs.Hook{Path: "/bin/false"})},
			[]string{"hooks.createRuntime[0]"}},
		"lo": {[]option{withNetDevices(map[string]specs.LinuxNetDevice{one: {}, "lo": {Name: "lo2"}})}, []string{"linux.netDevices.lo", "for good"}},
		"no namespace": {[]option{withoutNamespace(specs.NetworkNamespace), withBindOfSys, withNetDevices(renamed)},
			[]string{"linux.netDevices", "no network namespace"}},
		"the host's namespace": {[]option{withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/proc/self/ns/net"}), withBindOfSys, withNetDevices(renamed)},
			[]string{"linux.netDevices", "the one that berth is in"}},
		"long name": {[]option{withNetDevices(map[string]specs.LinuxNetDevice{one: {Name: "sixteen-letters!"}})}, []string{"linux.netDevices." + one + ".name"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkOneLine(t, "run", newContainer(t, c.options...).run().exits(t, 1), c.says)
			for _, device := range []string{one, two} {
				want(t, "addresses of "+device, addresses(ip(t, "addr", "show", "dev", device)), before)
			}
		})
	}
}

// In a network namespace that the container joins, a device stays when the container is gone: it is its owner's.
func TestNetDevicesInJoinedNamespace(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "netDevices (runtime-spec 1.3)")
	name := device(t)
	first := newContainer(t, withSleep())
	pid := first.startSleeping().Pid
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	c := newContainer(t, withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}), withBindOfSys,
		withNetDevices(map[string]specs.LinuxNetDevice{name: {Name: "kept"}}), withScript("ip addr show dev kept"))
	want(t, "addresses inside", addresses(c.run().ok(t).stdout), ofDevice)
	out := first.oci("exec", first.id, "ip", "addr", "show", "dev", "kept").ok(t).stdout
	want(t, "addresses after it", addresses(out), ofDevice)
}
