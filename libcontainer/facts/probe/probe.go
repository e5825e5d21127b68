// Package probe reads from the running kernel what package facts describes.
package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/cgroups"
	"berth/cgroups/fs"
	"berth/libcontainer/facts"
)

// Host returns the facts of this host. It makes a handful of system calls and
// starts nothing.
func Host() (*facts.Host, error) {
	h, err := Self()
	if err != nil {
		return nil, err
	}
	h.Cgroups, err = fs.Probe()
	if err != nil && !errors.Is(err, cgroups.ErrNoCgroups) {
		return nil, err
	}
	// Changing nothing, it only tells whether it is there.
	h.MountSetattr = !errors.Is(unix.MountSetattr(-1, "", 0, &unix.MountAttr{}), unix.ENOSYS)
	if !h.MountSetattr {
		if h.SysMounts, err = mountsBelow("/sys"); err != nil {
			return nil, err
		}
	}
	h.Kcore = unix.Access("/proc/kcore", unix.F_OK) == nil
	return h, nil
}

// Self returns those facts that another process in a container depends on: the
// kernel and what berth itself may do.
func Self() (*facts.Host, error) {
	kernel, err := kernel()
	if err != nil {
		return nil, err
	}
	permitted, err := permitted()
	if err != nil {
		return nil, err
	}
	h := &facts.Host{Kernel: kernel, LastCap: lastCap(), Permitted: permitted,
		UID: uint32(unix.Geteuid()), GID: uint32(unix.Getegid())}
	if h.Userns, err = InUserns(); err != nil {
		return nil, err
	}
	if h.Userns {
		if err := usernsFacts(h); err != nil {
			return nil, err
		}
	}
	return h, h.CheckKernel()
}

func kernel() (facts.Kernel, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return facts.Kernel{}, fmt.Errorf("uname: %w", err)
	}
	return facts.ParseKernel(unix.ByteSliceToString(name.Release[:]))
}

func permitted() (uint64, error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return 0, fmt.Errorf("capget: %w", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

// lastCap asks the bounding set, which answers EINVAL above the last one.
func lastCap() int {
	last := unix.CAP_LAST_CAP
	known := func(n int) bool {
		_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		return err == nil
	}
	for last > 0 && !known(last) {
		last--
	}
	for last < 63 && known(last+1) {
		last++
	}
	return last
}
