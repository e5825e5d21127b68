package devices

import (
	"fmt"
	"strconv"
	"strings"

	"berth/cgroups"
)

const (
	fileAllow = "devices.allow"
	fileDeny  = "devices.deny"
)

func v1Write(allow bool, value, origin string) cgroups.Write {
	file := fileDeny
	if allow {
		file = fileAllow
	}
	return cgroups.Write{Controller: "devices", File: file, Value: value, Origin: origin}
}

// V1Writes lists the writes that bring a v1 device cgroup to the filter from
// whatever state it is in: first the default, which forgets all exceptions,
// then the exceptions. The kernel takes one entry a write.
//
// Between the first write and the last the cgroup allows less than the filter
// where it denies by default; it is meant for a cgroup without processes. Use
// [V1Changes] for one that has some.
//
// The kernel refuses, with EPERM, what the parent cgroup does not allow, and
// with EINVAL to change the default of a cgroup that has children.
func (f *Filter) V1Writes() []cgroups.Write {
	rules := f.needed()
	list := make([]cgroups.Write, 0, 1+len(rules))
	origin := f.Origin
	if origin == "" {
		origin = field
	}
	list = append(list, v1Write(f.AllowAll, "a", origin))
	for i := range rules {
		list = append(list, v1Write(rules[i].Allow, rules[i].String(), rules[i].Origin))
	}
	return list
}

// V1Changes lists the writes that bring a v1 device cgroup whose processes run
// from one filter to another, for fs.Manager.Apply (not Update, which reads a
// file before it writes, and these two cannot be read). What both allow stays
// allowed throughout, and what both deny stays denied: new exceptions are made
// before old ones are taken back, so that in between those of both hold.
//
// Only a change of the default itself has no such order; there the writes are
// those of [Filter.V1Writes].
func V1Changes(from, to *Filter) []cgroups.Write {
	if from.AllowAll != to.AllowAll {
		return to.V1Writes()
	}
	// V1Writes leaves out what another exception covers, so only the needed ones
	// are known to be there; any may be.
	wanted := to.needed()
	add := difference(wanted, from.needed())
	remove := difference(from.Exceptions, wanted)
	list := make([]cgroups.Write, 0, len(add)+len(remove))
	for i := range add {
		list = append(list, v1Write(add[i].Allow, add[i].String(), add[i].Origin))
	}
	for i := range remove {
		list = append(list, v1Write(!remove[i].Allow, remove[i].String(), remove[i].Origin))
	}
	return list
}

// difference lists what a gives access to that b does not, comparing rules for
// exactly the same devices only.
func difference(a, b []Rule) []Rule {
	var list []Rule
	for _, r := range a {
		for i := range b {
			if r.sameDevices(&b[i]) {
				r.Access &^= b[i].Access
				break
			}
		}
		if r.Access != 0 {
			list = append(list, r)
		}
	}
	return list
}

// ParseV1List reads what the kernel shows in devices.list. A cgroup that allows
// by default shows "a *:* rwm" whatever its exceptions are, so those are lost.
func ParseV1List(text string) (*Filter, error) {
	f := &Filter{}
	for line := range strings.Lines(text) {
		r, err := parseV1(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		f.applyAsKernel(&r)
	}
	return f, nil
}

func parseV1(line string) (Rule, error) {
	r := Rule{Allow: true, Origin: "devices.list"}
	bad := func(what string) (Rule, error) {
		return r, fmt.Errorf("devices.list: %q: %s, want TYPE MAJOR:MINOR ACCESS", line, what)
	}
	kind, rest, _ := strings.Cut(line, " ")
	numbers, access, ok := strings.Cut(rest, " ")
	major, minor, colon := strings.Cut(numbers, ":")
	if !ok || !colon || len(kind) != 1 {
		return bad("a part is missing")
	}
	switch r.Type = Type(kind[0]); r.Type {
	case All, Block, Char:
	default:
		return bad("an unknown type")
	}
	var err error
	if r.Major, err = parseV1Number(major); err != nil {
		return bad("an unknown major number")
	}
	if r.Minor, err = parseV1Number(minor); err != nil {
		return bad("an unknown minor number")
	}
	if r.Access, err = parseAccess(access); err != nil {
		return bad("an unknown access")
	}
	return r, nil
}

func parseV1Number(s string) (int64, error) {
	if s == "*" {
		return Any, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n), err
}
