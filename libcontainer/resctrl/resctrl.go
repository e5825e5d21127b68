// Package resctrl puts a container into a group of Intel RDT: a folder of the
// kernel's resctrl file system, which shares caches and memory bandwidth out to
// who is in its tasks file (Documentation/arch/x86/resctrl.rst).
package resctrl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Mountpoint is where resctrl is mounted.
const Mountpoint = "/sys/fs/resctrl"

// superMagic is RDTGROUP_SUPER_MAGIC of linux/magic.h.
const superMagic = 0x7655821

// Group is what is kept of a container's group between commands.
type Group struct {
	// Dir is the group's folder.
	Dir string `json:"dir"`
	// Own says that the folder is the container's and goes with it.
	Own bool `json:"own,omitempty"`
	// Monitor is the monitoring group's folder below Dir, or empty.
	Monitor string `json:"monitor,omitempty"`
}

// Tree is a resctrl file system.
type Tree struct {
	root   string
	mkdir  func(string) error // makes a folder, in which the kernel makes files
	remove func(string) error // removes such a folder
	write  func(name, text string) error
}

// Find returns the host's resctrl.
func Find() (*Tree, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(Mountpoint, &fs); err != nil || fs.Type != superMagic {
		return nil, errors.New("resctrl is not mounted: mount it (mount -t resctrl resctrl " + Mountpoint + "; it takes a processor with Intel RDT or its like), or take intelRdt out")
	}
	return at(Mountpoint), nil
}

func at(root string) *Tree {
	return &Tree{root: root, mkdir: func(dir string) error { return os.Mkdir(dir, 0o755) }, remove: unix.Rmdir, write: write}
}

// Plan returns the group that a container is to be in; nothing is made.
func (t *Tree) Plan(r *specs.LinuxIntelRdt, id string) Group {
	g := Group{Dir: filepath.Join(t.root, r.ClosID)}
	if r.ClosID == "" {
		g.Dir, g.Own = filepath.Join(t.root, id), true
	}
	if r.EnableMonitoring {
		g.Monitor = filepath.Join(g.Dir, "mon_groups", id)
	}
	return g
}

// Lines are what goes into a group's schemata file, in the order of
// config-linux.md.
func Lines(r *specs.LinuxIntelRdt) []string {
	var lines []string
	for _, l := range append([]string{r.L3CacheSchema, r.MemBwSchema}, r.Schemata...) {
		if l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// Make makes the group where that is for the runtime to do, and checks it where
// it is there already. What it has made is to be removed after an error too.
func (t *Tree) Make(g Group, r *specs.LinuxIntelRdt) error {
	lines := Lines(r)
	_, err := os.Stat(g.Dir)
	switch {
	case err == nil && g.Own:
		return fmt.Errorf("linux.intelRdt: the group %s exists already, and is not this container's: remove it (rmdir), or name it in closID", g.Dir)
	case err == nil:
		if err := t.compare(g, lines); err != nil {
			return err
		}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("linux.intelRdt: %w", err)
	case !g.Own && len(lines) == 0:
		return fmt.Errorf("linux.intelRdt.closID: there is no group %s, and no schemata to make it with: make it, or give schemata", g.Dir)
	default:
		if err := t.mkdir(g.Dir); err != nil {
			return fmt.Errorf("linux.intelRdt: make the group: %w%s", err, t.why(err))
		}
		if err := t.Write(g, lines); err != nil {
			return errors.Join(fmt.Errorf("linux.intelRdt: %w", err), t.removeDir(g.Dir))
		}
	}
	if g.Monitor == "" {
		return nil
	}
	if err := t.mkdir(g.Monitor); err != nil {
		return fmt.Errorf("linux.intelRdt.enableMonitoring: make the monitoring group: %w%s", err, t.why(err))
	}
	return nil
}

// why tells what the number does not.
func (t *Tree) why(err error) string {
	text, readErr := os.ReadFile(filepath.Join(t.root, "info", "last_cmd_status"))
	words := strings.TrimSpace(string(text))
	switch {
	case readErr == nil && words != "" && words != "ok":
		return " (the kernel says: " + words + ")"
	case errors.Is(err, unix.ENOSPC):
		return ": the processor has no class or monitor left: remove groups in " + t.root + " that nobody uses"
	}
	return ""
}

// Write writes lines to a group's schemata, each with a write of its own, so
// that an error is of one line.
func (t *Tree) Write(g Group, lines []string) error {
	for _, l := range lines {
		name := filepath.Join(g.Dir, "schemata")
		if err := t.write(name, l+"\n"); err != nil {
			return fmt.Errorf("write %q to %s: %w%s", l, name, err, t.why(err))
		}
	}
	return nil
}

// Change is Write of all lines or, where one is refused, none. It returns the
// lines that undo it.
func (t *Tree) Change(g Group, lines []string) (undo []string, err error) {
	name := filepath.Join(g.Dir, "schemata")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for has := range strings.Lines(string(text)) {
		has = strings.TrimSpace(has)
		resource, _, _ := strings.Cut(has, ":")
		for _, l := range lines {
			if strings.HasPrefix(l, resource+":") {
				undo = append(undo, has)
				break
			}
		}
	}
	if err := t.Write(g, lines); err != nil {
		return nil, errors.Join(err, t.Write(g, undo))
	}
	return undo, nil
}

func write(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// compare holds the lines against what a group has.
func (t *Tree) compare(g Group, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(g.Dir, "schemata"))
	if err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	has := parse(string(text))
	// A later line holds over an earlier one, as when they are written.
	for key, value := range parse(strings.Join(lines, "\n")) {
		if has[key] != value {
			return fmt.Errorf("linux.intelRdt: the group %s exists and has %s=%s, not %s: write its schemata, name another group in closID, or take the schemata out", g.Dir, key, orNothing(has[key]), value)
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// parse reads lines of schemata, such as "L3:0=7f0;1=1f", into a value for each
// key, such as "L3:0", without zeros in front.
func parse(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		resource, domains, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		for _, d := range strings.Split(domains, ";") {
			domain, value, ok := strings.Cut(d, "=")
			if !ok {
				continue
			}
			value = strings.TrimLeft(strings.ToLower(strings.TrimSpace(value)), "0")
			if value == "" {
				value = "0"
			}
			values[resource+":"+strings.TrimSpace(domain)] = value
		}
	}
	return values
}

// Join moves a process and what it starts from now on into the group.
func (t *Tree) Join(g Group, pid int) error {
	dirs := []string{g.Dir}
	if g.Monitor != "" {
		dirs = append(dirs, g.Monitor)
	}
	for _, dir := range dirs {
		name := filepath.Join(dir, "tasks")
		if err := write(name, strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("linux.intelRdt: move process %d into the group: write to %s: %w%s", pid, name, err, t.why(err))
		}
	}
	return nil
}

// Remove removes what was made for the container: the monitoring group, and the
// group if it is its own. What is gone already is fine.
func Remove(g Group) error { return at(Mountpoint).Remove(g) }

// Remove is the function Remove on a tree.
func (t *Tree) Remove(g Group) error {
	var errs []error
	if g.Monitor != "" {
		errs = append(errs, t.removeDir(g.Monitor))
	}
	if g.Own {
		errs = append(errs, t.removeDir(g.Dir))
	}
	return errors.Join(errs...)
}

func (t *Tree) removeDir(dir string) error {
	if err := t.remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("linux.intelRdt: remove the group %s: %w", dir, err)
	}
	return nil
}
