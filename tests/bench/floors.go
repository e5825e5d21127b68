package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// execFloor is the command that the floor runs in a container of berth's, in place of exec.
func (b *bench) execFloor(ct *container) ([]string, error) {
	program := filepath.Join(b.opt.scratch, "floor-exec")
	if err := compileC("floor-exec.c", program, nil); err != nil {
		return nil, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ct.pid))
	if err != nil {
		return nil, err
	}
	_, caps, _ := strings.Cut(string(status), "\nCapBnd:\t")
	caps, _, _ = strings.Cut(caps, "\n")
	folders, err := b.cgroupsOf(ct.pid)
	if err != nil {
		return nil, err
	}
	unified, files := "-", []string(nil)
	for _, f := range folders {
		if f.of.unified {
			unified = f.path
		} else {
			files = append(files, filepath.Join(f.path, "tasks"))
		}
	}
	return append([]string{program, fmt.Sprint(ct.pid), caps, unified, "/bin/true"}, files...), nil
}

// cgroupFolder is a folder of a process in one of the hierarchies.
type cgroupFolder struct {
	of   *hierarchy
	path string
}

// cgroupsOf finds the folders that a process is in: those of the hierarchies' where it is not at the top.
func (b *bench) cgroupsOf(pid int) ([]cgroupFolder, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, err
	}
	var all []cgroupFolder
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[2] == "/" {
			continue
		}
		for i := range b.hierarchies {
			h := &b.hierarchies[i]
			if h.unified && fields[1] == "" || !h.unified && fields[1] == strings.Join(h.controllers, ",") {
				all = append(all, cgroupFolder{h, filepath.Join(h.mountpoint, fields[2])})
			}
		}
	}
	return all, nil
}

// listFloor is the command that the floor runs in place of list, on a contestant's containers.
func (b *bench) listFloor(c *contestant) ([]string, error) {
	program := filepath.Join(b.opt.scratch, "floor-list")
	if err := compileC("floor-list.c", program, nil); err != nil {
		return nil, err
	}
	states, err := filepath.Glob(filepath.Join(c.root, "*", "state.json"))
	if err != nil || len(states) == 0 {
		return nil, fmt.Errorf("no state file in %s: %w", c.root, errors.Join(err, os.ErrNotExist))
	}
	id := filepath.Base(filepath.Dir(states[0]))
	for i := range b.hierarchies {
		for _, file := range []string{"freezer.state", "cgroup.freeze"} {
			mountpoint := b.hierarchies[i].mountpoint
			if _, err := os.Stat(filepath.Join(mountpoint, id, file)); err == nil {
				return []string{program, c.root, mountpoint, file}, nil
			}
		}
	}
	return nil, fmt.Errorf("no cgroup hierarchy has a freezer for %s", id)
}

// emptyGo is a Go program that does nothing.
const emptyGo = "package main\n\nfunc main() {}\n"

// buildGo builds a Go program: a copy, as berth is, since the linker's own file is slower to map.
func buildGo(source, output, ldflags string) error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w "+ldflags, "-o", output+".linked", source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err := exec.Command("install", "-m", "0755", output+".linked", output).CombinedOutput(); err != nil {
		return fmt.Errorf("install: %w: %s", err, out)
	}
	return nil
}

// withGoAndFloor adds the floor behind a start of Go to the trials that have a floor: a Go program that starts as berth
// does, and then only becomes the floor (programs/becomes). It is the least that a runtime in Go can take.
func (b *bench) withGoAndFloor(r *Result, trials []trial, bundle string, run func(argv ...string) (cost, error)) []trial {
	last := trials[len(trials)-1]
	if last.name != "floor" {
		return trials
	}
	becomes := filepath.Join(b.opt.scratch, "becomes")
	if err := buildGo("berth/tests/bench/programs/becomes", becomes, "-E berth/entry.entry"); err != nil {
		r.Notes = append(r.Notes, "no floor behind a start of Go: "+oneLine(err))
		return trials
	}
	return append(trials, trial{"Go, then the floor", func() (cost, error) { return run(becomes, floorOf(bundle)) }})
}

// measureStart is what it takes until berth can do anything: its version, beside a Go program that does nothing, and a C
// program that does nothing.
func measureStart(b *bench, r *Result) error {
	source, empty := filepath.Join(b.opt.scratch, "empty.go"), filepath.Join(b.opt.scratch, "empty")
	if err := os.WriteFile(source, []byte(emptyGo), 0o600); err != nil {
		return err
	}
	trials := b.forEach(func(c *contestant) (cost, error) { return b.watch.time(c.path, "--version") })
	if err := buildGo(source, empty, ""); err != nil {
		r.Notes = append(r.Notes, "no empty Go program: "+oneLine(err))
	} else {
		trials = append(trials, trial{"empty Go program", func() (cost, error) { return b.watch.time(empty) }})
	}
	nothing := filepath.Join(b.opt.scratch, "nothing")
	if err := compileC("nothing.c", nothing, nil); err != nil {
		return err
	}
	trials = append(trials, trial{"floor", func() (cost, error) { return b.watch.time(nothing) }})
	var err error
	r.Series, err = b.inTurns(r.Rounds, trials)
	return err
}
