package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// options are what the command line says, and what the bench's first process hands to the others.
type options struct {
	berth     string // program
	peers     string
	only      []string
	layouts   []string
	rounds    int
	crowd     int
	starts    int
	apart     time.Duration // waited before each timed command
	workloads string        // folder
	scratch   string        // folder; empty in the first process until it makes one
	token     string        // what the name of every container and cgroup begins with
}

// bench measures in one cgroup layout. It lives in a process and a mount namespace of its own.
type bench struct {
	opt         *options
	layout      layout
	hierarchies []hierarchy
	contestants []*contestant // berth first
	watch       stopwatch
	ids         int
	copies      int // of each contestant's program
}

// newBench prepares this process's mount namespace, which must be a private one: the layout, and a tmpfs for state and
// bundles, which on most hosts lie on one too (/run), and which goes with the namespace.
func newBench(opt *options, at layout) (*bench, error) {
	if err := show(at); err != nil {
		return nil, err
	}
	if err := unix.Mount("bench", opt.scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return nil, fmt.Errorf("mount a tmpfs on %s: %w", opt.scratch, err)
	}
	// Containers that outlive the command that made them become this process's children, to be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	b := &bench{opt: opt, layout: at}
	var err error
	if b.hierarchies, err = mountedHierarchies(); err != nil {
		return nil, err
	}
	if b.contestants, _, err = findContestants(opt.berth, opt.peers); err != nil {
		return nil, err
	}
	for _, c := range b.contestants {
		c.root = filepath.Join(opt.scratch, "state", c.name)
	}
	b.watch = stopwatch{path: filepath.Join(opt.scratch, "stopwatch"), env: environment(opt.scratch)}
	if err := compileC("stopwatch.c", b.watch.path, nil); err != nil {
		return nil, err
	}
	return b, b.makeRootfs()
}

// environment is that of measured commands: nothing of the user's own gets in.
func environment(home string) []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home}
}

// measure measures all rows that belong to the layout, in order, and hands out each result.
func (b *bench) measure(all []layout, out func(*Result) error) error {
	for _, row := range rows() {
		if !row.in(b.layout, all) || len(b.opt.only) > 0 && !slices.Contains(b.opt.only, row.name) {
			continue
		}
		if err := out(b.measureRow(&row)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureRow(row *row) *Result {
	r := &Result{Row: row.name, Title: row.title, Cgroups: b.layout, Rounds: b.opt.rounds, Unit: row.unit}
	switch row.name {
	case "list", "crowd":
		r.Title = fmt.Sprintf(row.title, b.opt.crowd)
	case "throughput":
		r.Title = fmt.Sprintf(row.title, b.opt.starts)
	}
	fmt.Fprintf(os.Stderr, "bench: cgroup %s: %s\n", b.layout, r.Title)
	if c := lacks(b.hierarchies, row.needs...); c != "" {
		r.Skipped = fmt.Sprintf("cgroup %s has no %s controller on this host", b.layout, c)
		return r
	}
	if err := row.measure(b, r); err != nil {
		r.Failed = oneLine(err)
		return r
	}
	if r.Skipped == "" {
		r.judge(row.bars)
	}
	return r
}

// hasCommand says whether berth has a command: its help names it.
func (b *bench) hasCommand(name string) bool {
	return exec.Command(b.contestants[0].path, name, "--help").Run() == nil
}

// floorOf is where a bundle's floor is.
func floorOf(bundle string) string { return filepath.Join(bundle, "floor") }

// floor compiles the floor for a bundle and returns the program.
func (b *bench) floor(bundle string) (string, error) {
	config, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", err
	}
	plan, err := b.plan(bundle)
	if err != nil {
		return "", err
	}
	steps, err := floorSteps(plan, config, b.hierarchies)
	if err != nil {
		return "", err
	}
	path := floorOf(bundle)
	return path, compileC("floor.c", path, map[string]string{"steps.h": steps})
}

// floorID is the id that the floor's plan is made for.
func (b *bench) floorID() string { return b.opt.token + "floor" }

// plan asks berth what it would do for a bundle.
func (b *bench) plan(bundle string) ([]byte, error) {
	cmd := exec.Command(b.contestants[0].path, "plan", "--format", "json", "--bundle", bundle, b.floorID())
	cmd.Env = b.watch.env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("berth plan: %w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// work is the bench's second process: it measures in one layout and writes results to a pipe, a line each.
func work(opt *options, at layout, all []layout, pipe *os.File) error {
	b, err := newBench(opt, at)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(pipe)
	return b.measure(all, func(r *Result) error { return encoder.Encode(r) })
}
