package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/criu"
)

// Restore makes a container from a bundle, with the processes of a checkpoint's image in it. When it fails, nothing is
// left. Of opt, what is about the making of a process is passed over.
func (r *Runtime) Restore(opt *CreateOptions, cr *Checkpoint) (*Container, error) {
	if err := checkID(opt.ID); err != nil {
		return nil, err
	}
	path, err := findCriu("restore")
	if err != nil {
		return nil, err
	}
	folders, err := cr.openFolders() // before anything is made
	if err != nil {
		return nil, err
	}
	folders.close()
	m := &creation{opt: opt, unified: -1}
	defer m.close()
	if err := r.connect(m); err != nil {
		return nil, err
	}
	out, err := r.compile(m)
	if err != nil {
		return nil, err
	}
	for _, w := range append(opt.Bundle.Warnings, out.Warnings...) {
		r.Log("warning", w)
	}
	c, err := r.reserve(opt)
	if err != nil {
		return nil, err
	}
	defer c.release()
	m.Container = c
	if err := m.restore(cr, path); err != nil {
		err = fmt.Errorf("restore container %q: %w", opt.ID, err)
		if m.Pid != 0 {
			_ = unix.Kill(m.Pid, unix.SIGKILL) // it may have ended by itself
			_, _ = unix.Wait4(m.Pid, nil, 0, nil)
		}
		err = errors.Join(err, m.undo())
		if m.hooked {
			c.poststop(opt.Bundle.Spec)
		}
		return nil, err
	}
	return c, nil
}

// restore has CRIU make the processes in a cgroup with the config's limits.
func (m *creation) restore(cr *Checkpoint, path string) (err error) {
	if cr.Cgroups == criu.CgroupStrict && m.placed() {
		return errors.New("--manage-cgroups-mode strict wants CRIU to make all cgroups, and the container's own is made before, with its limits: use full, or soft")
	}
	if err := m.planCgroup(); err != nil {
		return err
	}
	if m.unit == nil {
		if err := m.beginCgroup(0); err != nil {
			return err
		}
		if err := m.finishCgroup(0); err != nil {
			return err
		}
	}
	if err := m.keepConfig(); err != nil {
		return err
	}
	o, err := m.restoreOptions(cr)
	if err != nil {
		return err
	}
	yard, err := m.cgroupYard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.remove()) }()
	o.CgroupYard = yard.folder
	files := make([]int, len(o.Inherit))
	for i := range files {
		files[i] = o.Inherit[i].FD
	}
	session, err := criu.Start(path, files, func() error { return m.prepareMounts(cr, o, yard) })
	if err != nil {
		return err
	}
	defer session.Close()
	if m.unit != nil {
		if err := m.makeScope(session.Pid); err != nil {
			return err
		}
	}
	if o.CgroupRoot = m.cgroupRoots(); o.Cgroups == criu.CgroupIgnore && m.cgroup != nil && m.unit == nil {
		if err := m.cgroup.Join(session.Pid); err != nil { // the processes stay where CRIU is
			return err
		}
	}
	pid, err := session.Do(criu.Restore, o, cr.workPath(), m.restoring)
	if err != nil {
		return err
	}
	session.Close()
	if err := m.checkLabel(pid, cr.LSMProfile); err != nil {
		return err
	}
	if err := os.Remove(o.Root); err != nil {
		return err
	}
	if m.Pid == 0 || m.Pid != pid {
		return fmt.Errorf("criu has restored process %d, and told of %d", pid, m.Pid)
	}
	if err := writeMounts(m.dir, m.more); err != nil {
		return err
	}
	return writePidFile(m.opt.PidFile, m.Pid)
}

// prepareMounts is called in a mount namespace of CRIU's own, which goes with it.
func (m *creation) prepareMounts(cr *Checkpoint, o *criu.Options, y yard) error {
	// CRIU mounts in the working folder, which therefore must be one of this namespace's.
	own, err := cr.openFolders()
	if err != nil {
		return err
	}
	m.fds = append(m.fds, own.images, own.work)
	o.ImagesFD, o.WorkFD = own.images, own.work
	if err := y.bind(); err != nil {
		return err
	}
	return m.bindRoot(o.Root)
}

// checkLabel refuses a process that CRIU has brought back without its SELinux label, as one that is built without SELinux
// does in silence. other is --lsm-profile.
func (m *creation) checkLabel(pid int, other string) error {
	label, origin := m.opt.Bundle.Spec.Process.SelinuxLabel, "process.selinuxLabel"
	if l, ok := strings.CutPrefix(other, "selinux:"); ok {
		label, origin = l, "--lsm-profile"
	}
	if label == "" || !m.host.SELinux {
		return nil
	}
	text, err := readFile(fmt.Sprintf("/proc/%d/attr/current", pid))
	if err != nil {
		return fmt.Errorf("%s: label of process %d: %w", origin, pid, err)
	}
	if got := strings.TrimRight(string(text), "\x00\n"); got != label {
		return fmt.Errorf("%s: CRIU has restored the process with the label %s, not with %s: use a CRIU that is built with SELinux", origin, got, label)
	}
	return nil
}

// restoring does berth's part at the points that CRIU comes to.
func (m *creation) restoring(n criu.Notification) error {
	switch n.Script {
	case "setup-namespaces":
		h := m.opt.Bundle.Spec.Hooks
		if h == nil {
			return nil
		}
		m.hooked = true
		state := m.OCIState(specs.StateCreating)
		state.Pid = n.Pid
		//lint:ignore SA1019 prestart is deprecated and still what Docker's network needs
		if err := m.runtimeHooks("hooks.prestart", h.Prestart, state, m.Bundle).run(); err != nil {
			return err
		}
		return m.runtimeHooks("hooks.createRuntime", h.CreateRuntime, state, m.Bundle).run()
	case "post-restore":
		stat, err := processStat(n.Pid)
		if err != nil {
			return fmt.Errorf("start time of process %d: %w", n.Pid, err)
		}
		m.Pid, m.StartTime = n.Pid, stat.started
		return m.save()
	case "orphan-pts-master":
		return handTerminal(n.FD, m.opt.ConsoleSocket, m.opt.Console)
	}
	return nil
}

// restoreOptions fills in what CRIU needs to know of the container. What it opens is closed with m.
func (m *creation) restoreOptions(cr *Checkpoint) (*criu.Options, error) {
	s := m.opt.Bundle.Spec
	o := cr.Options
	o.LogFile = "restore.log"
	o.Root, o.OrphanPtsMaster, o.Sibling = filepath.Join(m.dir, "criu-root"), s.Process.Terminal, true
	o.ConfigFile = criuConfigOf(s)
	if err := os.Mkdir(o.Root, 0o700); err != nil {
		return nil, err
	}
	var err error
	if m.more, err = readMounts(cr.ImagePath); err != nil {
		return nil, fmt.Errorf("--image-path: %w", err)
	}
	mounts := m.restoredMounts()
	for i := range mounts {
		mount := &mounts[i]
		if !isBind(mount) {
			continue
		}
		// CRIU follows no link at the path's end.
		source, err := filepath.EvalSymlinks(sourceFrom(m.Bundle, mount))
		if err != nil {
			return nil, fmt.Errorf("%s: source %s: %w", m.mountOrigin(mounts, i), mount.Source, err)
		}
		o.External = append(o.External, "mnt["+filepath.Clean(mount.Destination)+"]:"+source)
	}
	if s.Linux != nil {
		for _, masked := range s.Linux.MaskedPaths {
			o.External = append(o.External, "mnt["+filepath.Clean(masked)+"]:/dev/null")
		}
	}
	if err := m.inheritNamespaces(&o); err != nil {
		return nil, err
	}
	return &o, m.inheritStdio(&o, cr.ImagePath)
}

func (m *creation) inheritNamespaces(o *criu.Options) error {
	l := m.opt.Bundle.Spec.Linux
	if l == nil {
		return nil
	}
	for i := range l.Namespaces {
		n := &l.Namespaces[i]
		name := externalNamespace(n)
		if name == "" {
			continue
		}
		fd, err := unix.Open(n.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("linux.namespaces[%d].path: open %s: %w", i, n.Path, err)
		}
		m.fds = append(m.fds, fd)
		o.Inherit = append(o.Inherit, criu.InheritFD{Key: name, FD: fd})
	}
	return nil
}

// inheritStdio puts berth's own standard descriptors in the place of pipes that went to the checkpoint's caller.
func (m *creation) inheritStdio(o *criu.Options, images string) error {
	text, err := readFile(filepath.Join(images, descriptorsFile))
	if err != nil {
		return fmt.Errorf("--image-path: %w: is it a checkpoint's folder?", err)
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return fmt.Errorf("--image-path: %s: %w", descriptorsFile, err)
	}
	for fd, name := range names {
		if fd < 3 && strings.HasPrefix(name, "pipe:") {
			o.Inherit = append(o.Inherit, criu.InheritFD{Key: name, FD: fd})
		}
	}
	return nil
}

// bindRoot makes the rootfs a mount, as CRIU wants it, in CRIU's own mount namespace.
func (m *creation) bindRoot(target string) error {
	if err := unix.Mount(m.Rootfs, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind mount %s to %s: %w", m.Rootfs, target, err)
	}
	root, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", target, err)
	}
	defer unix.Close(root)
	mounts := m.restoredMounts()
	for i := range mounts {
		if coveredBefore(mounts[:i], mounts[i].Destination) {
			continue // CRIU restores what is in there
		}
		origin := m.mountOrigin(mounts, i)
		folder := true
		if isBind(&mounts[i]) {
			var st unix.Stat_t
			if err := unix.Stat(sourceFrom(m.Bundle, &mounts[i]), &st); err != nil {
				return fmt.Errorf("%s: source %s: %w", origin, mounts[i].Source, err)
			}
			folder = st.Mode&unix.S_IFMT == unix.S_IFDIR
		}
		if err := makePlace(root, mounts[i].Destination, folder); err != nil {
			return fmt.Errorf("%s: %w", origin, err)
		}
	}
	return nil
}

// restoredMounts are those of config.json, then those that the checkpoint tells of.
func (m *creation) restoredMounts() []specs.Mount {
	return append(slices.Clone(m.opt.Bundle.Spec.Mounts), m.more...)
}

// mountOrigin says where one of restoredMounts comes from.
func (m *creation) mountOrigin(mounts []specs.Mount, i int) string {
	if i < len(m.opt.Bundle.Spec.Mounts) {
		return fmt.Sprintf("mounts[%d] (%s)", i, mounts[i].Destination)
	}
	return fmt.Sprintf("mount of the checkpoint's %s (%s)", mountsFile, mounts[i].Destination)
}

// makePlace makes what a mount is to lie on, where nothing is there. No link leads out of the root.
func makePlace(root int, path string, folder bool) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, path, &how)
	if err == nil {
		return unix.Close(fd)
	}
	path = filepath.Clean("/" + path)
	if !errors.Is(err, unix.ENOENT) || path == "/" {
		return fmt.Errorf("open %s in the rootfs: %w", path, err)
	}
	if err := makePlace(root, filepath.Dir(path), true); err != nil {
		return err
	}
	parent, err := unix.Openat2(root, filepath.Dir(path), &how)
	if err != nil {
		return fmt.Errorf("open %s in the rootfs: %w", filepath.Dir(path), err)
	}
	defer unix.Close(parent)
	if folder {
		err = unix.Mkdirat(parent, filepath.Base(path), 0o755)
	} else if fd, err = unix.Openat(parent, filepath.Base(path), unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
		err = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("make %s in the rootfs: %w", path, err)
	}
	return nil
}

// coveredBefore says whether a path lies in another mount.
func coveredBefore(before []specs.Mount, path string) bool {
	for i := range before {
		if strings.HasPrefix(filepath.Clean(path), strings.TrimSuffix(filepath.Clean(before[i].Destination), "/")+"/") {
			return true
		}
	}
	return false
}

// cgroupRoots are the folders that CRIU puts the processes into.
func (m *creation) cgroupRoots() []criu.CgroupRoot {
	if m.Cgroup == nil {
		return nil
	}
	var roots []criu.CgroupRoot
	folders := m.Cgroup.Folders
	for i := range folders {
		f := &folders[i]
		switch {
		case f.Unified && len(folders) == 1:
			return []criu.CgroupRoot{{Path: f.Path}}
		case f.Name != "":
			roots = append(roots, criu.CgroupRoot{Controller: "name=" + f.Name, Path: f.Path})
		case !f.Unified:
			roots = append(roots, criu.CgroupRoot{Controller: strings.Join(f.Controllers, ","), Path: f.Path})
		}
	}
	return roots
}
