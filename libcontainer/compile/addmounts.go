package compile

import (
	"errors"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// AddMounts returns the plan that makes mounts in a container that exists.
// Sources of bind mounts are the host's: the parent opens them. It ends at
// plan.PointCreated.
func AddMounts(in ExecInput, bundle string, mounts []specs.Mount) (*Output, error) {
	c := mountCompiler(&in)
	c.Bundle, c.adding = bundle, true
	if !c.Host.MountSetattr {
		return nil, errors.New("mounts can be added from Linux 5.12 on, and this is " + c.Host.Kernel.String() + ": give them in config.json")
	}
	for i := range mounts {
		c.compileMount(i, &mounts[i])
	}
	for _, r := range c.late {
		c.p.Add(r.origin, plan.OpenPath{Root: plan.SlotRoot, Path: r.target, Into: plan.SlotMount})
		c.p.Add(r.origin, plan.MountSetattr{Mount: plan.SlotMount, Set: attrRdonly})
	}
	c.p.Add(plan.At("mounts"), plan.Sync{Point: plan.PointCreated})
	return &c.out, errors.Join(c.errs...)
}

// RemoveMounts returns the plan that detaches mounts in a container that exists,
// the last of the list first. It ends at plan.PointCreated.
func RemoveMounts(in ExecInput, mounts []specs.Mount) (*Output, error) {
	c := mountCompiler(&in)
	for i := len(mounts) - 1; i >= 0; i-- {
		origin := plan.Origin{Field: "mounts", Index: i, Name: mounts[i].Destination}
		if target := absolute(mounts[i].Destination); target == "/" {
			c.problem(origin, "destination is missing, or the root folder: name the mount to remove")
		} else {
			c.p.Add(origin, plan.Unmount{Root: plan.SlotRoot, Path: target})
		}
	}
	c.p.Add(plan.At("mounts"), plan.Sync{Point: plan.PointCreated})
	return &c.out, errors.Join(c.errs...)
}

func mountCompiler(in *ExecInput) *compiler {
	in.Process = &specs.Process{}
	c := execCompiler(in)
	c.namespaces = make(map[specs.LinuxNamespaceType]*specs.LinuxNamespace, 8)
	namespaces := c.linux().Namespaces
	for i := range namespaces {
		c.namespaces[namespaces[i].Type] = &namespaces[i]
	}
	c.p.Add(plan.At("mounts"), plan.SetName{Name: "berth:mounts"})
	c.compileJoin(in)
	return c
}

// canAdd refuses what only makes sense, or is only safe, while a container is
// made.
func (c *compiler) canAdd(origin plan.Origin, m *specs.Mount, o *options) bool {
	switch {
	case path.Clean("/"+m.Destination) == "/":
		c.problem(origin, "the container's root folder cannot be mounted over while it runs: choose another destination")
	case m.Type == "cgroup" || m.Type == "cgroup2":
		c.problem(origin, "a cgroup mount cannot be added to a container that runs: give it in config.json")
	case !o.bind && (o.legacy != 0 || tooLong(o.params)):
		c.problem(origin, "remount, silent, acl, iversion and parameters of more than 255 bytes need mount(2), which is not safe in a container that runs: take them out")
	case o.legacy&msRemount != 0:
		c.problem(origin, "remount is not for a container that runs: remove the mount, and add it as it should be")
	default:
		return true
	}
	return false
}
