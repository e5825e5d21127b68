package libcontainer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/netlink"
)

// netDevices are the devices of linux.netDevices that have been moved. Once the
// container exists they are its network namespace's, and what becomes of them
// is the kernel's affair (config-linux.md, "Namespace Lifecycle and Container
// Termination"). When create fails, they go back.
type netDevices struct {
	host, inside *netlink.Conn
	hostNS       int // descriptors of the two namespaces
	insideNS     int
	moved        []movedDevice
}

type movedDevice struct {
	device    *compile.NetDevice
	up        bool // it was
	index     int32
	addresses []netlink.Address
}

// moveNetDevices moves the devices in. The process is in its network namespace.
func (m *creation) moveNetDevices() error {
	if len(m.compile.NetDevices) == 0 {
		return nil
	}
	n := &netDevices{hostNS: -1, insideNS: -1}
	m.devices = n
	if err := n.open(m.process.Pid); err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	for i := range m.compile.NetDevices {
		d := &m.compile.NetDevices[i]
		if err := n.move(d); err != nil {
			return fmt.Errorf("%s: %w", d.Origin, err)
		}
	}
	return nil
}

func (n *netDevices) open(pid int) (err error) {
	if n.hostNS, err = openPath("/proc/self/ns/net"); err != nil {
		return err
	}
	if n.insideNS, err = openPath("/proc/" + strconv.Itoa(pid) + "/ns/net"); err != nil {
		return err
	}
	var own, theirs unix.Stat_t
	if err := errors.Join(unix.Fstat(n.hostNS, &own), unix.Fstat(n.insideNS, &theirs)); err != nil {
		return fmt.Errorf("stat of the network namespaces: %w", err)
	}
	if own.Dev == theirs.Dev && own.Ino == theirs.Ino {
		return errors.New("the container's network namespace is the one that berth is in, where the devices are already: take netDevices out, or give the container another namespace")
	}
	if n.host, err = netlink.Open(); err != nil {
		return err
	}
	n.inside, err = netlink.OpenIn(n.insideNS)
	return err
}

func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// move moves one device, with its addresses, and brings it up.
func (n *netDevices) move(d *compile.NetDevice) error {
	link, err := n.host.LinkByName(d.Host)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the host has no network device of this name: see `ip link`")
	}
	if err != nil {
		return fmt.Errorf("look for the device: %w", err)
	}
	name, template := d.Name, strings.Contains(d.Name, "%")
	if template {
		// Which number it gets is only known in there: till then it has a name
		// that is its own.
		name = "berth" + strconv.Itoa(int(link.Index))
	}
	if _, err := n.inside.LinkByName(name); err == nil {
		return fmt.Errorf("the container's network namespace has a device %s already: choose another name, or one with %%d for a number that is free", name)
	} else if !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("look for %s in the container: %w", name, err)
	}
	m := movedDevice{device: d, up: link.Up}
	if m.addresses, err = n.host.Addresses(link.Index); err != nil {
		return fmt.Errorf("list its addresses: %w", err)
	}
	if err := n.host.Move(link.Index, n.insideNS, name); err != nil {
		return fmt.Errorf("move it to the container's network namespace: %w%s", err, moveHint(err))
	}
	// Its number may be another in there.
	there, err := n.inside.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find it again in the container: %w", err)
	}
	m.index = there.Index
	n.moved = append(n.moved, m)
	if template {
		if err := n.inside.Rename(there.Index, d.Name); err != nil {
			return fmt.Errorf("rename it to %s in the container: %w", d.Name, err)
		}
	}
	if err := addAll(n.inside, there.Index, m.addresses); err != nil {
		return fmt.Errorf("in the container: %w", err)
	}
	if err := n.inside.SetUp(there.Index); err != nil {
		return fmt.Errorf("bring it up in the container: %w", err)
	}
	return nil
}

func moveHint(err error) string {
	switch {
	case errors.Is(err, unix.EINVAL):
		return ": some devices, as lo and bridges' tunnels, belong to their network namespace for good"
	case errors.Is(err, unix.EPERM):
		return ": that takes CAP_NET_ADMIN in both namespaces: run berth as root"
	}
	return ""
}

func addAll(c *netlink.Conn, index int32, addresses []netlink.Address) error {
	for i := range addresses {
		if err := c.AddAddress(index, addresses[i]); err != nil {
			return fmt.Errorf("set address %d of %d again: %w", i+1, len(addresses), err)
		}
	}
	return nil
}

// giveBack moves the devices back to where they were, as they were.
func (n *netDevices) giveBack() error {
	var errs []error
	for i := len(n.moved) - 1; i >= 0; i-- {
		if err := n.back(&n.moved[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: give it back: %w", n.moved[i].device.Origin, err))
		}
	}
	n.moved = nil
	return errors.Join(errs...)
}

func (n *netDevices) back(m *movedDevice) error {
	if err := n.inside.Move(m.index, n.hostNS, m.device.Host); err != nil {
		return err
	}
	link, err := n.host.LinkByName(m.device.Host)
	if err != nil {
		return err
	}
	errs := []error{addAll(n.host, link.Index, m.addresses)}
	if m.up {
		errs = append(errs, n.host.SetUp(link.Index))
	}
	return errors.Join(errs...)
}

func (n *netDevices) close() {
	for _, c := range []*netlink.Conn{n.host, n.inside} {
		if c != nil {
			c.Close()
		}
	}
	for _, fd := range []int{n.hostNS, n.insideNS} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
