// Package devices turns linux.resources.devices into what the kernel takes: on
// cgroup v2 an eBPF program, on v1 writes to devices.allow and devices.deny.
//
// It is pure: it does no I/O. Package cgroups/devices/bpf loads and attaches
// the program; cgroups/fs makes the writes.
//
// Both outcomes come from one [Filter], which holds what the v1 device cgroup
// would hold after the same rules: what happens to a device that nothing was
// said about, and the exceptions from that. A configuration so means the same
// on every layout. Where v1 would silently do something else than a rule says,
// the rule is refused (see [Filter.apply]).
//
// Sources: runtime-spec config-linux.md ("Allowed Device list", "Default
// Devices"), the kernel's Documentation/admin-guide/cgroup-v1/devices.rst and
// cgroup-v2.rst ("Device controller").
package devices

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Type is the kind of device a rule is about, by its letter in config.json and
// in devices.allow.
type Type byte

// The types a device cgroup knows.
const (
	All   Type = 'a'
	Block Type = 'b'
	Char  Type = 'c'
)

// Access is a set of what may be done with a device. The bits are the kernel's
// BPF_DEVCG_ACC_*.
type Access uint8

// The kinds of access.
const (
	Mknod Access = 1 << iota
	Read
	Write

	everyAccess = Mknod | Read | Write
)

// String gives the letters in the order of runtime-spec, "rwm".
func (a Access) String() string {
	var b [3]byte
	n := 0
	for _, bit := range [...]struct {
		access Access
		letter byte
	}{{Read, 'r'}, {Write, 'w'}, {Mknod, 'm'}} {
		if a&bit.access != 0 {
			b[n] = bit.letter
			n++
		}
	}
	return string(b[:n])
}

// Any as a major or minor number stands for every number, the * of
// devices.allow. An absent number in config.json means it; so does -1, which
// Docker writes.
const Any = -1

// Rule is one entry of the device list.
type Rule struct {
	Allow bool
	Type  Type
	// Major and Minor are device numbers or Any; Any where Type is All.
	Major, Minor int64
	Access       Access
	// Origin is the rule's place in config.json, for example
	// linux.resources.devices[2].
	Origin string
}

// String gives the rule's device and access as devices.allow takes them, for
// example "c 1:3 rwm".
func (r Rule) String() string {
	b := make([]byte, 0, 32)
	b = append(b, byte(r.Type), ' ')
	b = appendNumber(b, r.Major)
	b = append(b, ':')
	b = appendNumber(b, r.Minor)
	b = append(b, ' ')
	return string(append(b, r.Access.String()...))
}

func appendNumber(b []byte, n int64) []byte {
	if n == Any {
		return append(b, '*')
	}
	return strconv.AppendInt(b, n, 10)
}

// verb says what the rule does, for messages.
func (r *Rule) verb() string {
	if r.Allow {
		return "allows"
	}
	return "denies"
}

// sameDevices tells whether both rules are about exactly the same devices,
// which is how the v1 device cgroup finds the entry to change.
func (r *Rule) sameDevices(o *Rule) bool {
	return r.Type == o.Type && r.Major == o.Major && r.Minor == o.Minor
}

// overlaps tells whether some access to some device matches both rules.
func (r *Rule) overlaps(o *Rule) bool {
	return r.Type == o.Type &&
		(r.Major == Any || o.Major == Any || r.Major == o.Major) &&
		(r.Minor == Any || o.Minor == Any || r.Minor == o.Minor) &&
		r.Access&o.Access != 0
}

// covers tells whether every access that matches o matches r as well.
func (r *Rule) covers(o *Rule) bool {
	return r.Type == o.Type &&
		(r.Major == Any || r.Major == o.Major) &&
		(r.Minor == Any || r.Minor == o.Minor) &&
		o.Access&^r.Access == 0
}

// field is where the rules stand in config.json.
const field = "linux.resources.devices"

// MaxRules is how many entries linux.resources.devices may have. It keeps the
// eBPF program within what the kernel's verifier is known to take (it reads at
// most a million instructions since kernel 5.2; a rule takes seven at most).
const MaxRules = 4096

// Parse reads the rules of config.json. Every problem is reported, joined with
// errors.Join, each with its place.
func Parse(list []specs.LinuxDeviceCgroup) ([]Rule, error) {
	if len(list) > MaxRules {
		return nil, fmt.Errorf("%s[%d]: there are %d rules, and at most %d fit into a device filter: join them with wildcards (leave out the minor number)",
			field, MaxRules, len(list), MaxRules)
	}
	rules := make([]Rule, 0, len(list)+len(defaultRules))
	var problems []error
	for i := range list {
		r, err := parseRule(&list[i])
		r.Origin = field + "[" + strconv.Itoa(i) + "]"
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%w", r.Origin, err))
			continue
		}
		rules = append(rules, r)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return rules, nil
}

// parseRule's errors start with the field's name below the rule, or ": ".
func parseRule(d *specs.LinuxDeviceCgroup) (Rule, error) {
	r := Rule{Allow: d.Allow}
	var err error
	if r.Type, err = parseType(d.Type); err != nil {
		return r, fmt.Errorf(".type: %w", err)
	}
	if r.Major, err = parseNumber(d.Major); err != nil {
		return r, fmt.Errorf(".major: %w", err)
	}
	if r.Minor, err = parseNumber(d.Minor); err != nil {
		return r, fmt.Errorf(".minor: %w", err)
	}
	if r.Access, err = parseAccess(d.Access); err != nil {
		return r, fmt.Errorf(".access: %w", err)
	}
	if r.Type != All {
		if r.Access == 0 {
			return r, errors.New(".access: it is empty: give any of r (read), w (write) and m (mknod)")
		}
		return r, nil
	}
	if r.Access == 0 {
		r.Access = everyAccess
	}
	if r.Major != Any || r.Minor != Any || r.Access != everyAccess {
		return r, fmt.Errorf(`: it %s %q, but the kernel's device cgroup takes type "a" (which is also what an unset type means) as every access to every device, and ignores the rest: write one rule with type "c" and one with type "b"`,
			r.verb(), r)
	}
	return r, nil
}

func parseType(s string) (Type, error) {
	switch s {
	case "", "a":
		return All, nil
	case "b":
		return Block, nil
	case "c", "u":
		// mknod(1) calls character devices u as well (unbuffered).
		return Char, nil
	case "p":
		return 0, errors.New(`"p" is a fifo, which no device cgroup controls: give "a" (all), "c" (character) or "b" (block)`)
	}
	return 0, fmt.Errorf(`%q is not a device type: give "a" (all), "c" (character) or "b" (block)`, s)
}

// parseNumber takes what the kernel's 32-bit device numbers can hold; the
// largest stands for * there.
func parseNumber(n *int64) (int64, error) {
	switch {
	case n == nil || *n == Any:
		return Any, nil
	case *n < 0 || *n >= 1<<32-1:
		return 0, fmt.Errorf("%d is not a device number: give 0 to %d, or leave it out for any", *n, int64(1)<<32-2)
	}
	return *n, nil
}

func parseAccess(s string) (Access, error) {
	var a Access
	for i := range len(s) {
		switch s[i] {
		case 'r':
			a |= Read
		case 'w':
			a |= Write
		case 'm':
			a |= Mknod
		default:
			return 0, fmt.Errorf("%q in %q is not an access: give any of r (read), w (write) and m (mknod)", s[i], s)
		}
	}
	return a, nil
}
