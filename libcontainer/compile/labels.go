package compile

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// unconfined is the AppArmor profile that every process has without one.
const unconfined = "unconfined"

// compileLabels has the process's program get its AppArmor profile and SELinux
// label at execve, and the session keyring its label when it is made;
// apparmor(7), proc_pid_attr(5). Where the host has no such module, a label is
// passed over, as every other SELinux-aware program does; a profile is not,
// since it was to protect.
func (c *compiler) compileLabels(p *specs.Process) {
	if profile := p.ApparmorProfile; profile != "" && (c.Host.AppArmor || profile != unconfined) {
		origin := plan.At("process.apparmorProfile")
		if !c.Host.AppArmor {
			c.problem(origin, "AppArmor is not enabled on this host: leave "+quote(profile)+" out, or boot with apparmor=1 security=apparmor")
			return
		}
		c.writeAttr(origin, "apparmor/exec", "exec "+profile)
	}
	if p.SelinuxLabel == "" {
		return
	}
	origin := plan.At("process.selinuxLabel")
	if !c.Host.SELinux {
		c.warn("process.selinuxLabel: SELinux is not enabled on this host: the label is passed over")
		return
	}
	if !c.NoNewKeyring {
		c.writeAttr(origin, "keycreate", p.SelinuxLabel)
	}
	c.writeAttr(origin, "exec", p.SelinuxLabel)
}

func (c *compiler) writeAttr(origin plan.Origin, name, data string) {
	c.needProc(origin)
	c.p.Add(origin, plan.WriteProc{Proc: plan.SlotProc, Path: "self/attr/" + name, Data: data})
}

// mountContext returns the mount option, as fsconfig(2) takes it, that labels
// all files of a new file system as linux.mountLabel says; "" where there is
// none. File systems that are shared with the host, such as sysfs, have their
// labels from the policy.
func (c *compiler) mountContext(fstype string) string {
	label := c.linux().MountLabel
	if label == "" {
		return ""
	}
	if !c.Host.SELinux {
		if !c.unlabelled {
			c.unlabelled = true
			c.warn("linux.mountLabel: SELinux is not enabled on this host: the label is passed over")
		}
		return ""
	}
	switch fstype {
	case "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "selinuxfs", "pstore", "efivarfs", "fusectl", "configfs":
		return ""
	case "mqueue":
		if !c.isNew(specs.IPCNamespace) {
			return ""
		}
	}
	kind := c.Spec.Annotations["run.oci.mount_context_type"]
	switch kind {
	case "":
		kind = "context"
	case "context", "fscontext", "defcontext", "rootcontext":
	default:
		c.problem(plan.At(`annotations["run.oci.mount_context_type"]`), quote(kind)+" is none of context, fscontext, defcontext and rootcontext: use one")
		return ""
	}
	return kind + "=" + label
}

// labelled returns a file system's parameters with its label among them.
func (c *compiler) labelled(fstype string, params []string) []string {
	if label := c.mountContext(fstype); label != "" {
		return append(append([]string{}, params...), label)
	}
	return params
}
