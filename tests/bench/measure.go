package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// warmups are untimed rounds before the first timed one: pages are read, caches filled, mount points made.
const warmups = 3

// trial is one contestant of a row: run does once what is measured, and says what it cost.
type trial struct {
	name string
	run  func() (cost, error)
}

// inTurns runs trials in turns, each once a round, and returns a series for each. A contestant that cannot do it in
// the first round is left out, with the reason; that berth cannot is an error.
func (b *bench) inTurns(rounds int, trials []trial) ([]Series, error) {
	return b.inTurnsAfter(warmups, rounds, trials)
}

// inTurnsAfter is inTurns with another number of untimed rounds.
func (b *bench) inTurnsAfter(warmups, rounds int, trials []trial) ([]Series, error) {
	series := make([]Series, len(trials))
	costs := make([][]cost, len(trials))
	for i := range trials {
		series[i].Name = trials[i].name
	}
	for round := -warmups; round < rounds; round++ {
		if (round+warmups)%roundsPerCopy == 0 {
			if err := b.copyPrograms(); err != nil {
				return nil, err
			}
		}
		for _, i := range turnOrder(round+warmups, len(trials)) {
			if series[i].Skipped != "" {
				continue
			}
			time.Sleep(b.opt.apart)
			c, err := trials[i].run()
			if err == nil {
				if round >= 0 {
					costs[i] = append(costs[i], c)
				}
				continue
			}
			if trials[i].name == "berth" {
				return nil, err
			}
			series[i].Skipped = oneLine(err)
			if round > -warmups {
				series[i].Skipped = fmt.Sprintf("failed in round %d: %s", round+1, series[i].Skipped)
			}
		}
	}
	for i := range series {
		if series[i].Skipped == "" {
			series[i].fill(costs[i])
		}
	}
	return series, nil
}

func (s *Series) fill(costs []cost) {
	var walls, cpus, peaks []float64
	for _, c := range costs {
		walls = append(walls, float64(c.wall)/1e6)
		cpus = append(cpus, float64(c.cpu)/1e6)
		peaks = append(peaks, float64(c.rss))
	}
	s.Wall, s.CPU, s.Peak = spreadOf(walls), spreadOf(cpus), spreadOf(peaks)
}

// oneLine is an error as a table can show it: its first line, not too long.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if short := []rune(text); len(short) > 200 {
		text = string(short[:200]) + "…"
	}
	return text
}

// id makes an id that no other container has; it names the contestant, so that what is left behind can be told.
func (b *bench) id(c *contestant) string {
	b.ids++
	return b.opt.token + c.name + "-" + strconv.Itoa(b.ids)
}

// forEach makes a trial for every contestant.
func (b *bench) forEach(run func(*contestant) (cost, error)) []trial {
	trials := make([]trial, len(b.contestants))
	for i, c := range b.contestants {
		trials[i] = trial{c.name, func() (cost, error) { return run(c) }}
	}
	return trials
}

// run is `run` in the foreground, from fork to exit.
func (b *bench) run(c *contestant, root, bundle string) (cost, error) {
	id := b.id(c)
	took, err := b.watch.time(c.commandAt(root, "run", "--bundle", bundle, id)...)
	if err != nil {
		b.discard(c, root, id)
	}
	return took, err
}

// container is one that a contestant has made and that was not deleted yet.
type container struct {
	b    *bench
	of   *contestant
	root string
	id   string
	pid  int
}

// start makes a container with `run --detach` or, with waiting, with `create`, and says what that cost.
func (b *bench) start(c *contestant, bundle string, waiting bool) (*container, cost, error) {
	ct := &container{b: b, of: c, root: c.root, id: b.id(c)}
	file := filepath.Join(b.opt.scratch, "pid")
	command := []string{"run", "--detach", "--bundle", bundle, "--pid-file", file, ct.id}
	if waiting {
		command = append([]string{"create"}, command[2:]...)
	}
	took, err := b.watch.time(c.command(command...)...)
	if err != nil {
		b.discard(c, c.root, ct.id)
		return nil, took, err
	}
	text, err := os.ReadFile(file)
	if err == nil {
		ct.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		ct.remove()
		return nil, took, fmt.Errorf("%s wrote no pid file: %w", c.name, err)
	}
	return ct, took, nil
}

// command runs a command of the container's runtime: the words, and then the id.
func (ct *container) command(words ...string) (cost, error) {
	return ct.b.watch.time(ct.of.commandAt(ct.root, append(words, ct.id)...)...)
}

// ended waits until the container's process has ended by itself, reaps it and returns its CPU time.
func (ct *container) ended() (cost, error) {
	deadline := time.Now().Add(commandTimeout)
	for time.Now().Before(deadline) {
		var use unix.Rusage
		pid, err := unix.Wait4(ct.pid, nil, unix.WNOHANG, &use)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // not ours: the runtime has left it to somebody else
			if unix.Kill(ct.pid, 0) != nil {
				return cost{}, nil
			}
		case pid == ct.pid:
			return cost{cpu: time.Duration(use.Utime.Nano() + use.Stime.Nano())}, nil
		}
		time.Sleep(100 * time.Microsecond)
	}
	return cost{}, fmt.Errorf("the process of %s's container did not end in %s", ct.of.name, commandTimeout)
}

// remove deletes the container whatever its state, and reaps its process.
func (ct *container) remove() {
	ct.b.discard(ct.of, ct.root, ct.id)
}

// discard deletes a container by force. What berth leaves even so is found at the end (see leftovers.go); what another
// runtime leaves after a failure is removed, so that the next one finds the place free.
func (b *bench) discard(c *contestant, root, id string) {
	_, _ = b.watch.time(c.commandAt(root, "delete", "--force", id)...)
	reapOrphans()
	if c.name == "berth" {
		return
	}
	for _, name := range []string{id, b.opt.token + dockerRun} {
		for _, path := range cgroupsNamed(name, b.hierarchies) {
			_ = unix.Rmdir(path)
		}
	}
}

// reapOrphans reaps the processes of containers that have ended. No command may be under way.
func reapOrphans() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil && !errors.Is(err, unix.EINTR) || pid == 0 {
			return
		}
	}
}

// createStartDelete measures the three commands for a container whose process ends at once. The wait for that is not
// part of it, the CPU time of the process is.
func (b *bench) createStartDelete(c *contestant, bundle string) (cost, error) {
	ct, created, err := b.start(c, bundle, true)
	if err != nil {
		return cost{}, err
	}
	started, err := ct.command("start")
	if err != nil {
		ct.remove()
		return cost{}, err
	}
	process, err := ct.ended()
	if err != nil {
		ct.remove()
		return cost{}, err
	}
	deleted, err := ct.command("delete")
	if err != nil {
		ct.remove()
	}
	return created.plus(started).plus(process).plus(deleted), err
}

// createStart measures the first two of them.
func (b *bench) createStart(c *contestant, bundle string) (cost, error) {
	ct, created, err := b.start(c, bundle, true)
	if err != nil {
		return cost{}, err
	}
	defer ct.remove()
	started, err := ct.command("start")
	return created.plus(started), err
}
