// Package facts holds what a plan depends on of the host, as a plain struct.
// It is pure; package facts/probe fills it in.
package facts

import (
	"fmt"

	"berth/cgroups"
)

// Host is what the compiler has to know of the host it compiles for.
type Host struct {
	// Kernel is the running kernel's version.
	Kernel Kernel
	// LastCap is the highest capability number that the kernel knows; see
	// /proc/sys/kernel/cap_last_cap in capabilities(7).
	LastCap int
	// Permitted are the capabilities that berth itself has and so can grant;
	// bit n is capability n.
	Permitted uint64
	// UID and GID are berth's own effective ids.
	UID, GID uint32
	// Userns says that berth runs in a user namespace that somebody made, so
	// that what it is permitted holds there and not on the host. UIDMap and
	// GIDMap are that namespace's.
	Userns         bool
	UIDMap, GIDMap []IDRange
	// ForeignMounts says that berth's mount namespace belongs to another user
	// namespace than berth's: nothing in it can be cloned or mounted.
	ForeignMounts bool
	// NoSetgroups says that setgroups(2) is denied for good where the process
	// will be; user_namespaces(7).
	NoSetgroups bool
	// MountSetattr says whether the kernel has mount_setattr(2) (Linux 5.12),
	// which recursive mount options and idmapped mounts need.
	MountSetattr bool
	// SysMounts are the mount points below /sys, parents first. They are only
	// looked for where a whole tree cannot be made read-only, without
	// MountSetattr.
	SysMounts []string
	// Cgroups is the layout of the host's cgroup hierarchies.
	Cgroups *cgroups.Layout
	// OwnCgroupNamespace says that the cgroup namespace which the config names by
	// path is berth's own.
	OwnCgroupNamespace bool
	// RootfsMount is the mount point that the rootfs lies on. It is only
	// looked for where linux.rootfsPropagation asks for shared mounts.
	RootfsMount string
	// KernelMounts are the mounts of procfs and sysfs, in the order in which they
	// were made. They are only looked for with --no-pivot.
	KernelMounts []KernelMount
	// Kcore says whether /proc/kcore exists, which /dev/core points to.
	Kcore bool
	// AppArmor and SELinux say which of the two is enabled. They are only
	// looked for where the config has a profile or label.
	AppArmor, SELinux bool
	// Preserve is how many descriptors from 3 on are handed to the container.
	Preserve int
}

// KernelMount is a mount of a file system that the kernel shows itself in.
type KernelMount struct {
	// Path is where it is, and Parent the mount point of the mount that it is on.
	Path, Parent string
}

// IDRange is a range of ids that have a meaning in a user namespace.
type IDRange struct{ First, Size uint32 }

// Has says whether berth has a capability in its own user namespace.
func (h *Host) Has(capability int) bool { return h.Permitted&(1<<capability) != 0 }

// Kernel is a kernel version.
type Kernel struct{ Major, Minor int }

// Oldest is the oldest kernel that is served.
var Oldest = Kernel{5, 10}

// AtLeast says whether the kernel is as new as major.minor.
func (k Kernel) AtLeast(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

// String returns the version as major.minor.
func (k Kernel) String() string { return fmt.Sprintf("%d.%d", k.Major, k.Minor) }

// ParseKernel reads the version from uname(2)'s release.
func ParseKernel(release string) (Kernel, error) {
	var k Kernel
	if _, err := fmt.Sscanf(release, "%d.%d", &k.Major, &k.Minor); err != nil {
		return Kernel{}, fmt.Errorf("kernel release %q has no version in front: %w", release, err)
	}
	return k, nil
}

// CheckKernel fails on a kernel that is older than Oldest.
func (h *Host) CheckKernel() error {
	if !h.Kernel.AtLeast(Oldest.Major, Oldest.Minor) {
		return fmt.Errorf("this kernel is Linux %s; berth needs %s or newer", h.Kernel, Oldest)
	}
	return nil
}
