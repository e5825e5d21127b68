package devices

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Filter is the state of a v1 device cgroup after a list of rules: a default,
// and the exceptions from it.
type Filter struct {
	// AllowAll is what becomes of access that no exception matches.
	AllowAll bool
	// Exceptions are, in the order in which they came up, what is denied where
	// AllowAll is set and what is allowed where not. No two are about the same
	// devices, none has the type All, and none is without access.
	Exceptions []Rule
	// Origin is the place of the rule that set AllowAll; empty where no rule did.
	Origin string
}

// defaultRules are what every container may use beside its own rules: any
// device node may be made (it can be opened only where a rule allows), and the
// default devices of runtime-spec with their pseudoterminals may be opened.
//
// Not among them, as for runc since 1.2, is /dev/net/tun; nor is the host's
// console c 5:1, since a container's /dev/console is a pseudoterminal.
var defaultRules = [...]Rule{
	{true, Char, Any, Any, Mknod, "default devices"},
	{true, Block, Any, Any, Mknod, "default devices"},
	{true, Char, 1, 3, everyAccess, "default device /dev/null"},
	{true, Char, 1, 8, everyAccess, "default device /dev/random"},
	{true, Char, 1, 7, everyAccess, "default device /dev/full"},
	{true, Char, 5, 0, everyAccess, "default device /dev/tty"},
	{true, Char, 1, 5, everyAccess, "default device /dev/zero"},
	{true, Char, 1, 9, everyAccess, "default device /dev/urandom"},
	{true, Char, 136, Any, everyAccess, "default devices /dev/pts/*"},
	{true, Char, 5, 2, everyAccess, "default device /dev/ptmx"},
}

// New compiles the rules of config.json, followed by the default devices, which
// a configuration so cannot take away except by denying all it allows. Without
// any rule, everything but the default devices is denied.
//
// The errors name the rule, and are joined with errors.Join.
func New(list []specs.LinuxDeviceCgroup) (*Filter, error) {
	rules, err := Parse(list)
	if err != nil {
		return nil, err
	}
	f, err := Merge(rules)
	if err != nil {
		return nil, err
	}
	for i := range defaultRules {
		f.applyAsKernel(&defaultRules[i])
	}
	return f, nil
}

// Merge applies rules in order to a device cgroup that denies everything,
// without adding the default devices.
func Merge(rules []Rule) (*Filter, error) {
	f := &Filter{Exceptions: make([]Rule, 0, len(rules)+len(defaultRules))}
	for i := range rules {
		if err := f.apply(&rules[i]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// apply applies a rule as the v1 device cgroup would, except that it refuses a
// rule which the kernel would accept and then not honour.
//
// The kernel keeps a flat list. A rule of the default's own direction (deny,
// where everything is denied by default) only takes access away from the one
// exception that is written exactly alike. Any other exception that overlaps
// stays as it is: "deny c 1:3" after "allow c 1:*" leaves c 1:3 open, without a
// word. Someone who wrote that rule must not be left to think it holds.
func (f *Filter) apply(r *Rule) error {
	f.applyAsKernel(r)
	if r.Type == All || r.Allow != f.AllowAll {
		return nil
	}
	for i := range f.Exceptions {
		e := &f.Exceptions[i]
		if !r.overlaps(e) {
			continue
		}
		return fmt.Errorf("%s: it %s %q, but %s %s %q, and the kernel's device cgroup only takes back a rule for exactly the same devices, so this one would have no effect: %s",
			r.Origin, r.verb(), *r, e.Origin, e.verb(), *e, f.advice())
	}
	return nil
}

func (f *Filter) advice() string {
	if f.AllowAll {
		return "deny only what has to be denied, device by device"
	}
	return "allow only what is needed, device by device"
}

// applyAsKernel is the v1 device cgroup's own treatment of a rule.
func (f *Filter) applyAsKernel(r *Rule) {
	if r.Type == All {
		f.AllowAll, f.Exceptions, f.Origin = r.Allow, f.Exceptions[:0], r.Origin
		return
	}
	for i := range f.Exceptions {
		e := &f.Exceptions[i]
		if !r.sameDevices(e) {
			continue
		}
		if r.Allow != f.AllowAll {
			e.Access |= r.Access
		} else if e.Access &^= r.Access; e.Access == 0 {
			f.Exceptions = append(f.Exceptions[:i], f.Exceptions[i+1:]...)
		}
		return
	}
	if r.Allow != f.AllowAll {
		f.Exceptions = append(f.Exceptions, *r)
	}
}

// Unrestricted tells whether the filter lets everything through, as that of a
// privileged container does: then no filter is needed at all.
func (f *Filter) Unrestricted() bool {
	return f.AllowAll && len(f.Exceptions) == 0
}

// needed are the exceptions without those that another one covers.
func (f *Filter) needed() []Rule {
	list := make([]Rule, 0, len(f.Exceptions))
	for i := range f.Exceptions {
		if !f.covered(i) {
			list = append(list, f.Exceptions[i])
		}
	}
	return list
}

// covered tells whether another exception covers the one at index n. Two cannot
// cover each other, as no two are about the same devices.
func (f *Filter) covered(n int) bool {
	for i := range f.Exceptions {
		if i != n && f.Exceptions[i].covers(&f.Exceptions[n]) {
			return true
		}
	}
	return false
}
