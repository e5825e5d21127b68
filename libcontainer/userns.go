package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/libcontainer/facts/probe"
	"berth/libcontainer/plan"
	"berth/nsenter"
)

// idMaps turns mappings into what the clone takes.
func idMaps(mappings []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(mappings))
	for i := range mappings {
		m := &mappings[i]
		out[i] = syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)}
	}
	return out
}

// mapIDs fills in what a new user namespace needs of the clone.
func mapIDs(cmd *nsenter.Command, out *compile.Output, host *facts.Host) {
	cmd.KeepCaps = -1
	switch {
	case len(out.UIDMappings) == 0:
		return
	case out.MapAtUserns:
		// Until it is mapped, it is nobody in there: what it may do would be gone
		// with execve(2).
		if out.Cloneflags&unix.CLONE_NEWUSER != 0 {
			cmd.KeepCaps = host.LastCap
		}
		return
	}
	cmd.UIDMappings, cmd.GIDMappings = idMaps(out.UIDMappings), idMaps(out.GIDMappings)
	cmd.DenySetgroups, cmd.KeepGroups = out.DenySetgroups, out.KeepGroups
	if !out.RootMapped() {
		// Files can be made by a mapped user only.
		cmd.KeepCaps = host.LastCap
		cmd.UID, cmd.GID = out.UIDMappings[0].ContainerID, out.GIDMappings[0].ContainerID
	}
}

// atUserns does what belongs to plan.PointUserns.
func (m *creation) atUserns() error {
	if m.compile.MapAtUserns {
		if err := m.writeMappings(); err != nil {
			return err
		}
	}
	if err := m.grant(); err != nil {
		return err
	}
	return m.process.Answer(plan.PointUserns, nil)
}

// grant does for the executor in a user namespace what takes a power over the
// host: a lower OOM score. (Hard limits above berth's own are raised by
// raiseLimits, and inherited.)
func (m *creation) grant() error {
	if adj := m.compile.OOMScoreAdj; adj != nil {
		path := "/proc/" + strconv.Itoa(m.process.Pid) + "/oom_score_adj"
		if err := os.WriteFile(path, []byte(strconv.Itoa(*adj)), 0); err != nil {
			return fmt.Errorf("process.oomScoreAdj: write %d to %s: %w%s", *adj, path, err, oomHint(err))
		}
	}
	return nil
}

func oomHint(err error) string {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return ": only root of the host may lower it: give one that is not below berth's own (see /proc/self/oom_score_adj)"
	}
	return ""
}

// delegate gives the cgroup to the container's root where its config lets it
// manage that itself; config-linux.md, "Cgroup ownership".
func (m *creation) delegate() error {
	if !m.compile.Delegate || m.cgroup == nil {
		return nil
	}
	uid, ok := compile.HostID(m.compile.UIDMappings, 0)
	if !ok {
		return nil
	}
	if uid == m.host.UID {
		return nil // it is this user's already
	}
	if !m.host.Has(unix.CAP_CHOWN) {
		m.runtime.Log("warning", fmt.Sprintf("the container's root cannot manage its cgroup: only root may give it to user %d; map the container's root to %d for that", uid, m.host.UID))
		return nil
	}
	return m.cgroup.Delegate(int(uid))
}

// InUserns says whether berth runs in a user namespace that somebody made.
func InUserns() (bool, error) { return probe.InUserns() }

// CheckUser fails where only root could make the container, before anything else
// is found wrong that this user would then correct in vain.
func (b *Bundle) CheckUser() error {
	if os.Geteuid() == 0 || compile.JoinFlags(b.Spec)&unix.CLONE_NEWUSER != 0 {
		return nil
	}
	host, err := probe.Self()
	if err != nil {
		return err
	}
	if !host.Has(unix.CAP_SYS_ADMIN) {
		return noUserns(host)
	}
	return nil
}

// noUserns explains to a user without root's powers what they can do.
func noUserns(host *facts.Host) error {
	return fmt.Errorf("linux.namespaces: there is no user namespace, without which user %d may not make a container (that takes CAP_SYS_ADMIN): make the config with `berth spec --rootless`, or add {\"type\": \"user\"} and linux.uidMappings and gidMappings that map an id to %d and %d; or run berth as root",
		host.UID, host.UID, host.GID)
}
