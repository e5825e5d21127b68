// Package systemd keeps a container in a transient scope of systemd's, for
// --systemd-cgroup.
//
// Half of it is pure: where the scope is ([ParsePath]), and which properties
// say to systemd what cgroups.Limits says to the kernel ([Properties],
// [LimitProperties]), so that systemd keeps them when it writes to the cgroup
// itself. The other half ([Connect]) talks to systemd over D-Bus; nothing is
// done or connected before that is called.
//
// Limits are still written by cgroups/fs after the scope has started: systemd
// has no property for some, rounds others, and does not report what the kernel
// refuses.
//
// Sources: systemd.scope(5), systemd.slice(5), systemd.resource-control(5),
// org.freedesktop.systemd1(5), CGROUP_DELEGATION of systemd's documentation.
// Needs systemd 244 (AllowedCPUs) or newer.
package systemd

import (
	"errors"
	"fmt"
	"strings"
)

// Unit says where a container's scope is.
type Unit struct {
	// Name of the scope, such as "berth-web.scope".
	Name string `json:"name"`
	// Slice that the scope is in, such as "machine.slice"; "-.slice" is the
	// root.
	Slice string `json:"slice"`
	// Subgroup is the folder below the scope's that the container is in, empty
	// for the scope's own (annotation run.oci.systemd.subgroup).
	Subgroup string `json:"subgroup,omitempty"`
	// User tells that the scope belongs to the user's manager, not to process 1.
	User bool `json:"user,omitempty"`
}

const (
	scopeSuffix = ".scope"
	sliceSuffix = ".slice"
	rootSlice   = "-.slice"

	// prefix stands before a container's id where the configuration says
	// nothing.
	prefix = "berth"

	// maxName is the length of a unit's name in bytes that systemd takes
	// (UNIT_NAME_MAX, less the NUL).
	maxName = 255
)

const pathField = "linux.cgroupsPath"

// SubgroupAnnotation names the folder below the scope that the container is to
// be in, as it does for crun. Where it is absent or empty there is none.
const SubgroupAnnotation = "run.oci.systemd.subgroup"

// ParsePath reads linux.cgroupsPath as the systemd driver takes it:
// slice:prefix:name makes the scope prefix-name.scope. An empty path, slice or
// prefix is as runc's users know it: system.slice (user.slice for a user's
// manager), no prefix, and for an empty path berth-ID.scope. A slice of "-" is
// the root.
//
// Characters of the name that a unit cannot have are escaped as systemd-escape
// does (\x2b for +). The errors name linux.cgroupsPath or the annotation.
func ParsePath(cgroupsPath, id string, annotations map[string]string, user bool) (Unit, error) {
	u := Unit{User: user}
	slice, pre, name := "", prefix, id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 {
			return u, fmt.Errorf("%s: %q is not of the form slice:prefix:name, which --systemd-cgroup takes: give one such as system.slice:berth:%s, or leave out --systemd-cgroup",
				pathField, cgroupsPath, id)
		}
		slice, pre, name = parts[0], parts[1], parts[2]
	}
	var err error
	if u.Slice, err = parseSlice(slice, user); err != nil {
		return u, fmt.Errorf("%s: %q: %w", pathField, cgroupsPath, err)
	}
	if u.Name, err = scopeName(pre, name); err != nil {
		return u, fmt.Errorf("%s: %q: %w", pathField, cgroupsPath, err)
	}
	u.Subgroup = annotations[SubgroupAnnotation]
	if err := checkSubgroup(u.Subgroup); err != nil {
		return u, fmt.Errorf("annotations[%s]: %q: %w", SubgroupAnnotation, u.Subgroup, err)
	}
	return u, nil
}

// parseSlice checks a slice's name, in which each dash stands for a slice
// around it: a-b.slice is inside a.slice (systemd.slice(5)).
func parseSlice(slice string, user bool) (string, error) {
	switch slice {
	case "":
		if user {
			return "user.slice", nil
		}
		return "system.slice", nil
	case "-", rootSlice:
		return rootSlice, nil
	}
	name, ok := strings.CutSuffix(slice, sliceSuffix)
	switch {
	case !ok:
		return "", fmt.Errorf("the slice %q does not end in %s", slice, sliceSuffix)
	case strings.Contains(slice, "/"):
		return "", fmt.Errorf("the slice %q has a / in it: give its name alone; a-b.slice is inside a.slice", slice)
	case name == "" || name[0] == '-' || name[len(name)-1] == '-' || strings.Contains(name, "--"):
		return "", fmt.Errorf("the slice %q has an empty part: each part between dashes is the name of a slice", slice)
	case len(slice) > maxName:
		return "", fmt.Errorf("the slice's name has %d bytes, and systemd takes %d", len(slice), maxName)
	}
	if i := strings.IndexFunc(slice, func(r rune) bool { return !nameChar(r) }); i >= 0 {
		return "", fmt.Errorf("the slice %q has %q in it, which no unit's name can have", slice, slice[i:i+1])
	}
	return slice, nil
}

// scopeName composes the unit's name.
func scopeName(pre, name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the name, its last part, is empty")
	case strings.HasSuffix(name, sliceSuffix):
		return "", fmt.Errorf("the name %q is that of a slice, and a container needs a scope: leave out %s", name, sliceSuffix)
	}
	if pre != "" {
		name = pre + "-" + name
	}
	name = escape(name) + scopeSuffix
	if len(name) > maxName {
		return "", fmt.Errorf("the scope's name has %d bytes, and systemd takes %d: %.40s…", len(name), maxName, name)
	}
	return name, nil
}

// nameChar tells whether a unit's name can have the character (VALID_CHARS in
// systemd's unit-name.c). An @ would make it an instance of a template, which a
// scope cannot be, so it is left out.
func nameChar(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return r == ':' || r == '-' || r == '_' || r == '.' || r == '\\'
}

// escape writes what a unit's name cannot have as \x and two hexadecimal
// digits, and a leading dot too, as systemd-escape does.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; nameChar(rune(c)) && (c != '.' || i > 0) {
			b.WriteByte(c)
		} else {
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func checkSubgroup(name string) error {
	switch {
	case name == "." || name == ".." || strings.ContainsAny(name, "/\n\x00"):
		return errors.New("it is not the name of a folder: give one such as container")
	case len(name) > 255:
		return fmt.Errorf("it has %d bytes, and a folder's name can have 255", len(name))
	case strings.HasPrefix(name, "cgroup.") || strings.Contains(name, ".") && kernelFile(name):
		return errors.New("the kernel has a file of this name in each cgroup: give another, such as container")
	}
	return nil
}

// kernelFile tells whether the name may be that of a control file, which begin
// with their controller's.
func kernelFile(name string) bool {
	controller, _, _ := strings.Cut(name, ".")
	switch controller {
	case "cpu", "cpuset", "cpuacct", "memory", "pids", "io", "blkio", "hugetlb", "rdma", "misc", "devices", "freezer", "irq", "dmem":
		return true
	}
	return false
}

// CgroupPath is the folder of the container below that of the manager, whose
// own is root ([Conn.ControlGroup]): for the root "/" and the unit
// berth-web.scope of a-b.slice, /a.slice/a-b.slice/berth-web.scope. It starts
// with a slash.
func (u Unit) CgroupPath(root string) string {
	path := u.ScopePath(root)
	if u.Subgroup != "" {
		path += "/" + u.Subgroup
	}
	return path
}

// ScopePath is the folder of the scope itself, which differs from CgroupPath's
// where there is a subgroup.
func (u Unit) ScopePath(root string) string {
	return strings.TrimSuffix(root, "/") + expandSlice(u.Slice) + "/" + u.Name
}

// expandSlice gives the folder of a slice: /a.slice/a-b.slice for a-b.slice, ""
// for the root.
func expandSlice(slice string) string {
	if slice == rootSlice {
		return ""
	}
	var b strings.Builder
	name := strings.TrimSuffix(slice, sliceSuffix)
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '-' {
			b.WriteByte('/')
			b.WriteString(name[:i])
			b.WriteString(sliceSuffix)
		}
	}
	return b.String()
}
