package main

import (
	"fmt"
	"os"
	"slices"
)

// place says in which cgroup layouts a row is measured.
type place int

const (
	everywhere place = iota // the host's own, and v1 and v2 by themselves
	pure                    // v1 and v2 by themselves
	unified                 // v2 by itself
	once                    // where both rivals run: v1 by itself if it can be had, else v2
)

// row is a line of the table: what is measured, where, and what has to be reached.
type row struct {
	name    string // for -only
	title   string
	where   place
	needs   []string // cgroup controllers
	unit    string
	bars    []bar
	measure func(*bench, *Result) error
}

// The workloads of tests/workloads that are measured.
const (
	specDefault = "spec-default"
	dockerRun   = "docker-run"
)

// rows is the table. The bars are those that the project has set itself; docs/performance.md explains the rows.
func rows() []row {
	run := []bar{{metric: wall, against: "crun", limit: 0.60}, {metric: wall, against: "runc", limit: 0.25}, {metric: wall, against: "floor", limit: 2.0}}
	docker := []bar{{metric: wall, against: "crun", limit: 0.50}, {metric: wall, against: "runc", limit: 0.20}}
	first := []bar{{metric: wall, against: "crun", limit: 0.80}}
	short := []bar{{metric: wall, against: "crun", limit: 0.80}}
	return []row{
		{name: "run-spec", title: "run /bin/true, spec-default", bars: run, measure: measureRun(specDefault)},
		{name: "run-spec-nolimits", title: "run /bin/true, spec-default without device rules", where: unified,
			bars: run, measure: measureRun(specDefault, withoutLimits)},
		{name: "run-docker", title: "run /bin/true, docker-run, caches warm", needs: []string{"cpu", "memory", "pids"},
			bars: docker, measure: measureRun(dockerRun)},
		{name: "run-docker-nolimits", title: "run /bin/true, docker-run without limits and device rules, caches warm",
			where: unified, bars: docker, measure: measureRun(dockerRun, withoutLimits)},
		{name: "run-docker-first", title: "run /bin/true, docker-run, first time ever", needs: []string{"cpu", "memory", "pids"},
			bars: first, measure: measureFirstRun(dockerRun)},
		{name: "run-docker-nolimits-first", title: "run /bin/true, docker-run without limits and device rules, first time ever",
			where: unified, bars: first, measure: measureFirstRun(dockerRun, withoutLimits)},
		{name: "create-start-delete", title: "create + start + delete /bin/true, spec-default, detached", where: once,
			bars: []bar{{metric: wall, against: "crun", limit: 0.60}}, measure: measureCreateStartDelete},
		{name: "exec", title: "exec /bin/true in a running container", where: once,
			bars:    []bar{{metric: wall, against: "crun", limit: 0.60}, {metric: wall, against: "runc", limit: 0.25}},
			measure: measureInRunning("exec", (*bench).execFloor, "exec", idHere, "/bin/true")},
		// Shows how much of every command below is not its own.
		{name: "start", title: "--version: the start of the program itself", where: once, measure: measureStart},
		{name: "state", title: "state of a running container", where: once, bars: short, measure: measureInRunning("state", nil, "state", idHere)},
		// A signal that the process ignores: the container is there for the next round.
		{name: "kill", title: "kill (WINCH) of a running container", where: once, bars: short, measure: measureInRunning("kill", nil, "kill", idHere, "WINCH")},
		{name: "delete", title: "delete of a stopped container", where: once, bars: short, measure: measureDelete},
		{name: "list", title: "list of %d containers", where: once,
			bars: []bar{{metric: wall, against: "crun", limit: 0.50}}, measure: measureList},
		{name: "waiting-memory", title: "private memory of a created container's waiting process", where: once, unit: "KB",
			bars: []bar{{metric: value, limit: 200}}, measure: measureWaiting},
		{name: "lowest-memory", title: "lowest memory limit at which /bin/true (static) runs", where: pure, needs: []string{"memory"},
			unit: "KB", bars: []bar{{metric: value, against: "crun", limit: 1.00}}, measure: measureLowestMemory},
		{name: "lowest-pids", title: "lowest pids limit at which /bin/true runs", where: pure, needs: []string{"pids"},
			bars: []bar{{metric: value, limit: 1}}, measure: measureLowestPids},
		{name: "peak-memory", title: "peak memory of run, spec-default", where: once, unit: "KB",
			bars: []bar{{metric: value, against: "runc", limit: 0.60}}, measure: measurePeak},
		{name: "size", title: "size of the program", where: once, unit: "MB", bars: []bar{{metric: value, limit: 8}}, measure: measureSize},
		{name: "crowd", title: "create + start with %d containers running, against none", where: once,
			bars: []bar{{metric: wall, of: withCrowd("berth"), against: "berth", limit: 1.15}}, measure: measureCrowd},
		{name: "throughput", title: "%d starts (run), 4 at a time", where: once, unit: "containers/s",
			bars: []bar{{metric: value, against: "crun", limit: 1.5, atLeast: true}}, measure: measureThroughput},
	}
}

// in says whether a row belongs to a layout of a host, and if not, whether that is worth a word.
func (r *row) in(at layout, all []layout) bool {
	alone := at != "hybrid"
	switch r.where {
	case everywhere:
		return true
	case pure:
		return alone
	case unified:
		return at == "v2"
	}
	if slices.Contains(all, "v1") {
		return at == "v1"
	}
	return at == all[len(all)-1]
}

// measureRun is `run` in the foreground of every contestant, and of the floor.
func measureRun(workload string, changes ...change) func(*bench, *Result) error {
	return func(b *bench, r *Result) error {
		bundle, err := b.bundle(workload, changes...)
		if err != nil {
			return err
		}
		trials := b.forEach(func(c *contestant) (cost, error) { return b.run(c, c.root, bundle) })
		floor, err := b.floor(bundle)
		if err == nil {
			err = b.sameInside(workload, changes)
		}
		if err != nil {
			r.Notes = append(r.Notes, "no floor: "+oneLine(err))
		} else {
			trials = append(trials, trial{"floor", func() (cost, error) { return b.watch.time(floor) }})
		}
		r.Series, err = b.inTurns(r.Rounds, trials)
		return err
	}
}

// measurePeak is the largest memory of any process of a `run`.
func measurePeak(b *bench, r *Result) error {
	err := measureRun(specDefault)(b, r)
	for i := range r.Series {
		s := &r.Series[i]
		s.Value, s.Wall, s.CPU, s.Peak = s.Peak, nil, nil, nil
	}
	return err
}

// measureFirstRun is `run` with nothing left from earlier runs: an empty folder for state and caches each time.
func measureFirstRun(workload string, changes ...change) func(*bench, *Result) error {
	return func(b *bench, r *Result) error {
		bundle, err := b.bundle(workload, changes...)
		if err != nil {
			return err
		}
		r.Series, err = b.inTurns(r.Rounds, b.forEach(func(c *contestant) (cost, error) {
			root, err := c.freshRoot()
			if err != nil {
				return cost{}, err
			}
			defer os.RemoveAll(root)
			return b.run(c, root, bundle)
		}))
		return err
	}
}

func measureCreateStartDelete(b *bench, r *Result) error {
	bundle, err := b.bundle(specDefault)
	if err != nil {
		return err
	}
	r.Series, err = b.inTurns(r.Rounds, b.forEach(func(c *contestant) (cost, error) { return b.createStartDelete(c, bundle) }))
	return err
}

// idHere stands for the container's id in a command.
const idHere = "\x00id"

// measureInRunning measures a command on a container that runs all the time, one for each contestant. Where berth does
// not have the command yet, the row is skipped. floor, if any, gives the command of the floor in berth's container.
func measureInRunning(command string, floor func(*bench, *container) ([]string, error), words ...string) func(*bench, *Result) error {
	return func(b *bench, r *Result) error {
		if !b.hasCommand(command) {
			r.Skipped = "this berth has no command " + command
			return nil
		}
		bundle, err := b.bundle(specDefault, sleeping)
		if err != nil {
			return err
		}
		var trials, last []trial
		var out []Series
		for _, c := range b.contestants {
			ct, _, err := b.start(c, bundle, false)
			if err != nil && c.name == "berth" {
				return err
			}
			if err != nil {
				out = append(out, Series{Name: c.name, Skipped: oneLine(err)})
				continue
			}
			defer ct.remove()
			if c.name == "berth" && floor != nil {
				argv, err := floor(b, ct)
				if err != nil {
					return fmt.Errorf("floor: %w", err)
				}
				last = append(last, trial{"floor", func() (cost, error) { return b.watch.time(argv...) }})
			}
			args := slices.Clone(words)
			args[slices.Index(args, idHere)] = ct.id
			trials = append(trials, trial{c.name, func() (cost, error) { return b.watch.time(c.command(args...)...) }})
		}
		r.Series, err = b.inTurns(r.Rounds, append(trials, last...))
		r.Series = append(r.Series, out...)
		return err
	}
}

// measureDelete measures `delete` alone: the container has run and ended before.
func measureDelete(b *bench, r *Result) error {
	bundle, err := b.bundle(specDefault)
	if err != nil {
		return err
	}
	r.Series, err = b.inTurns(r.Rounds, b.forEach(func(c *contestant) (cost, error) {
		ct, _, err := b.start(c, bundle, false)
		if err != nil {
			return cost{}, err
		}
		if _, err := ct.ended(); err != nil {
			ct.remove()
			return cost{}, err
		}
		took, err := ct.command("delete")
		if err != nil {
			ct.remove()
		}
		return took, err
	}))
	return err
}

// measureSize takes the size of each program, and refuses a berth that needs shared libraries.
func measureSize(b *bench, r *Result) error {
	for _, c := range b.contestants {
		info, err := os.Stat(c.path)
		if err != nil {
			return err
		}
		libraries, err := sharedLibraries(c.path)
		if err != nil {
			return err
		}
		r.Series = append(r.Series, Series{Name: c.name, Value: spreadOf([]float64{float64(info.Size()) / 1e6})})
		if len(libraries) > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s needs %d shared libraries besides", c.name, len(libraries)))
			if c.name == "berth" {
				return fmt.Errorf("bin/berth is not static, it needs %v", libraries)
			}
		}
	}
	return nil
}
