package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
	"berth/libcontainer/criu"
)

// Checkpoint are the options that checkpoint and restore share.
type Checkpoint struct {
	// ImagePath is the folder of the images; WorkPath that of the logs, empty for the same.
	ImagePath, WorkPath string
	// Options go to CRIU, filled in with what the container needs.
	criu.Options
}

// descriptorsFile is kept with the images: what standard input, output and error were, as runc writes it.
const descriptorsFile = "descriptors.json"

// criuConfig is read by CRIU where no annotation names another file; the name is the one that engines know.
const (
	criuConfig     = "/etc/criu/runc.conf"
	criuAnnotation = "org.criu.config"
)

// Checkpoint writes an image of a running container's processes. Unless they are left running, or this is a pre-dump,
// the container is removed.
func (r *Runtime) Checkpoint(id string, cr *Checkpoint, preDump bool) error {
	return r.locked(id, func(c *Container) error {
		path, err := findCriu("checkpoint")
		if err != nil {
			return err
		}
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status != specs.StateRunning && status != StatePaused {
			return fmt.Errorf("cannot checkpoint container %q: it is %s: only what runs can be", id, status)
		}
		if err := c.dump(cr, path, preDump, status == StatePaused); err != nil {
			return fmt.Errorf("checkpoint container %q: %w", id, err)
		}
		if preDump || cr.LeaveRunning {
			return nil
		}
		if err := c.end(); err != nil {
			return err
		}
		return c.destroy()
	})
}

// findCriu looks for what both commands need before anything is changed.
func findCriu(command string) (string, error) {
	path, err := criu.Find()
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("CRIU needs root")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return path, nil
}

func (c *Container) dump(cr *Checkpoint, path string, preDump, paused bool) (err error) {
	s, err := c.Spec()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cr.ImagePath, 0o700); err != nil {
		return fmt.Errorf("--image-path: %w", err)
	}
	folders, err := cr.openFolders()
	if err != nil {
		return err
	}
	defer folders.close()
	o := cr.Options
	o.ImagesFD, o.WorkFD, o.LogFile = folders.images, folders.work, "dump.log"
	// The caller's own terminal is no orphan.
	o.Pid, o.Root, o.OrphanPtsMaster = c.Pid, c.Rootfs, !o.ShellJob
	o.ConfigFile = criuConfigOf(s)
	if c.Cgroup != nil {
		m := fs.Load(*c.Cgroup)
		defer m.Close()
		// CRIU stops all processes at once by this.
		o.FreezeCgroup = m.Path("freezer")
		if paused {
			if err := m.MoveFreeze(true); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.MoveFreeze(false)) }()
		}
	}
	request := criu.Dump
	if preDump {
		request, o.TrackMem = criu.PreDump, true
	} else {
		if err := c.keepDescriptors(cr.ImagePath); err != nil {
			return err
		}
		more, err := c.hostMounts(s)
		if err != nil {
			return err
		}
		if o.External, err = c.externals(s, more); err != nil {
			return err
		}
		if err := writeMounts(cr.ImagePath, more); err != nil {
			return err
		}
	}
	yard, err := c.cgroupYard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.remove()) }()
	if err := yard.link(); err != nil {
		return err
	}
	o.CgroupYard = yard.folder
	session, err := criu.Start(path, nil, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.Do(request, &o, cr.workPath(), func(criu.Notification) error { return nil })
	return err
}

func (cr *Checkpoint) workPath() string {
	if cr.WorkPath != "" {
		return cr.WorkPath
	}
	return cr.ImagePath
}

// imageFolders are descriptors of the two folders that CRIU writes to.
type imageFolders struct{ images, work int }

func (f imageFolders) close() {
	unix.Close(f.images)
	unix.Close(f.work)
}

func (cr *Checkpoint) openFolders() (imageFolders, error) {
	images, err := open(cr.ImagePath, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return imageFolders{}, fmt.Errorf("--image-path: open %s: %w", cr.ImagePath, err)
	}
	if cr.WorkPath != "" {
		err = os.MkdirAll(cr.WorkPath, 0o700)
	}
	work := -1
	if err == nil {
		work, err = open(cr.workPath(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		unix.Close(images)
		return imageFolders{}, fmt.Errorf("--work-path: %w", err)
	}
	return imageFolders{images, work}, nil
}

// criuConfigOf names the file with more options of CRIU's; none when the annotation is there and empty.
func criuConfigOf(s *specs.Spec) string {
	if file, ok := s.Annotations[criuAnnotation]; ok {
		return file
	}
	if _, err := os.Stat(criuConfig); err == nil {
		return criuConfig
	}
	return ""
}

// keepDescriptors writes down what the standard descriptors are: a pipe's other end is outside.
func (c *Container) keepDescriptors(folder string) error {
	var names [3]string
	for fd := range names {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.Pid, fd))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("descriptor %d of process %d: %w", fd, c.Pid, err)
		}
		names[fd] = name
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(folder, descriptorsFile), text, 0o600)
}

// externals names what belongs to the host: bind mounts, those that config.json does not name too, masks, namespaces
// that were joined.
func (c *Container) externals(s *specs.Spec, more []specs.Mount) ([]string, error) {
	root := fmt.Sprintf("/proc/%d/root", c.Pid)
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(fd)
	var all []string
	add := func(origin string, m *specs.Mount) error {
		if !isBind(m) {
			return nil
		}
		if err := checkMapped(origin, m); err != nil {
			return err
		}
		place, _, err := placeIn(fd, m.Destination)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", origin, m.Destination, err)
		}
		all = append(all, "mnt["+place+"]:"+filepath.Clean(m.Destination))
		return nil
	}
	for i := range s.Mounts {
		if err := add(fmt.Sprintf("mounts[%d]", i), &s.Mounts[i]); err != nil {
			return nil, err
		}
	}
	for i := range more {
		if err := add("added mount", &more[i]); err != nil {
			return nil, err
		}
	}
	if s.Linux == nil {
		return all, nil
	}
	for _, masked := range s.Linux.MaskedPaths {
		if place, folder, err := placeIn(fd, masked); err == nil && !folder {
			all = append(all, "mnt["+place+"]:"+filepath.Clean(masked))
		}
	}
	for i := range s.Linux.Namespaces {
		n := &s.Linux.Namespaces[i]
		name := externalNamespace(n)
		if name == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(n.Path, &st); err != nil {
			return nil, fmt.Errorf("linux.namespaces[%d].path: %s: %w", i, n.Path, err)
		}
		all = append(all, criuNamespace(n.Type)+"["+strconv.FormatUint(st.Ino, 10)+"]:"+name)
	}
	return all, nil
}

// externalNamespace is how the images name a namespace that the container has joined, as runc names it; empty for
// those that are made anew, and those that CRIU knows no way for.
func externalNamespace(n *specs.LinuxNamespace) string {
	switch {
	case n.Path == "":
	case n.Type == specs.NetworkNamespace:
		return "extRootNetNS"
	case n.Type == specs.PIDNamespace:
		return "extRootPidNS"
	}
	return ""
}

func criuNamespace(t specs.LinuxNamespaceType) string {
	if t == specs.NetworkNamespace {
		return "net"
	}
	return string(t)
}

// isBind says whether a mount shows a part of the host's file systems.
func isBind(m *specs.Mount) bool {
	if m.Type == "bind" {
		return true
	}
	for _, o := range m.Options {
		if o == "bind" || o == "rbind" {
			return true
		}
	}
	return false
}

// placeIn resolves a path inside a container's root as its processes see it, and says whether a folder is there.
func placeIn(root int, path string) (place string, folder bool, err error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return "", false, fmt.Errorf("open %s in the container: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", false, fmt.Errorf("stat %s in the container: %w", path, err)
	}
	link := "/proc/self/fd/" + strconv.Itoa(fd)
	if place, err = os.Readlink(link); err != nil {
		return "", false, err
	}
	return strings.TrimPrefix(place, "(unreachable)"), st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}
