package main

import (
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// crowdJobs is how many containers are started and deleted at a time where only their being there matters.
const crowdJobs = 4

// startCrowd starts many containers of a contestant and returns what ends them again.
func (b *bench) startCrowd(c *contestant, bundle string) (end func() error, err error) {
	prefix := b.id(c) + "-"
	end = func() error {
		_, err := b.watch.timeMany(b.opt.crowd, crowdJobs, c.command("delete", "--force", prefix)...)
		reapOrphans()
		// The kernel takes their namespaces down afterwards; what is measured next must not pay for that.
		time.Sleep(time.Duration(b.opt.crowd) * 3 * time.Millisecond)
		return err
	}
	if _, err := b.watch.timeMany(b.opt.crowd, crowdJobs, c.command("run", "--detach", "--bundle", bundle, prefix)...); err != nil {
		_ = end() // some are there
		return nil, err
	}
	return end, nil
}

// listed counts the containers that a contestant lists.
func listed(c *contestant) (int, error) {
	argv := c.command("list", "--quiet")
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return 0, fmt.Errorf("%s list: %w", c.name, err)
	}
	return len(strings.Fields(string(out))), nil
}

// measureList measures `list` where each contestant has a crowd of its own.
func measureList(b *bench, r *Result) (err error) {
	bundle, err := b.bundle(specDefault, sleeping, fewNamespaces)
	if err != nil {
		return err
	}
	var trials, floor []trial
	var out []Series
	for _, c := range b.contestants {
		end, startErr := b.startCrowd(c, bundle)
		if startErr == nil {
			defer func() {
				if endErr := end(); endErr != nil && err == nil {
					err = endErr
				}
			}()
			var n int
			if n, startErr = listed(c); startErr == nil && n != b.opt.crowd {
				startErr = fmt.Errorf("%s lists %d containers, %d run", c.name, n, b.opt.crowd)
			}
		}
		if startErr != nil && c.name == "berth" {
			return startErr
		}
		if startErr != nil {
			out = append(out, Series{Name: c.name, Skipped: oneLine(startErr)})
			continue
		}
		trials = append(trials, trial{c.name, func() (cost, error) { return b.watch.time(c.command("list")...) }})
		if c.name == "berth" {
			argv, err := b.listFloor(c)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			floor = append(floor, trial{"floor", func() (cost, error) { return b.watch.time(argv...) }})
		}
	}
	trials = append(trials, floor...)
	r.Series, err = b.inTurns(r.Rounds, trials)
	r.Series = append(r.Series, out...)
	return err
}

// withCrowd names the series of a contestant that is measured beside a crowd.
func withCrowd(name string) string { return name + ", crowd" }

// withFloor adds the floor of a bundle to the trials, or a note on why there is none.
func (b *bench) withFloor(r *Result, trials []trial, bundle string, run func(floor string) (cost, error)) []trial {
	floor, err := b.floor(bundle)
	if err != nil {
		r.Notes = append(r.Notes, "no floor: "+oneLine(err))
		return trials
	}
	return append(trials, trial{"floor", func() (cost, error) { return run(floor) }})
}

// measureCrowd measures create and start beside a crowd of berth's containers, and without one before and after it, so
// that a machine that slows down meanwhile does not pass for a crowd's doing. What the crowd costs the floor, it costs
// in the kernel.
func measureCrowd(b *bench, r *Result) error {
	bundle, err := b.bundle(specDefault)
	if err != nil {
		return err
	}
	many, err := b.bundle(specDefault, sleeping)
	if err != nil {
		return err
	}
	trials := b.forEach(func(c *contestant) (cost, error) { return b.createStart(c, bundle) })
	trials = b.withFloor(r, trials, bundle, func(floor string) (cost, error) { return b.watch.time(floor) })
	before, err := b.inTurns((r.Rounds+1)/2, trials)
	if err != nil {
		return err
	}
	end, err := b.startCrowd(b.contestants[0], many)
	if err != nil {
		return err
	}
	during, err := b.inTurns(r.Rounds, trials)
	if endErr := end(); err == nil {
		err = endErr
	}
	if err != nil {
		return err
	}
	after, err := b.inTurns(r.Rounds/2, trials)
	if err != nil {
		return err
	}
	for i := range before {
		r.Series = append(r.Series, joined(before[i], after[i]))
	}
	for _, s := range during {
		s.Name = withCrowd(s.Name)
		r.Series = append(r.Series, s)
	}
	r.Notes = append(r.Notes, "the crowd is berth's; without it was measured before and after; the floor's is a whole run")
	return nil
}

// joined is two series of one contestant as one.
func joined(a, b Series) Series {
	if a.Skipped != "" || b.Skipped != "" {
		return Series{Name: a.Name, Skipped: a.Skipped + b.Skipped}
	}
	together := func(x, y *Spread) *Spread {
		if x == nil || y == nil {
			return x
		}
		return spreadOf(append(append([]float64(nil), x.Samples...), y.Samples...))
	}
	return Series{Name: a.Name, Wall: together(a.Wall, b.Wall), CPU: together(a.CPU, b.CPU), Peak: together(a.Peak, b.Peak)}
}

// throughputRounds is how often the starts are measured: each round is long enough to be its own average.
const throughputRounds = 5

// measureThroughput measures many runs, several at a time, in turns.
func measureThroughput(b *bench, r *Result) error {
	bundle, err := b.bundle(specDefault)
	if err != nil {
		return err
	}
	trials := b.forEach(func(c *contestant) (cost, error) {
		return b.watch.timeMany(b.opt.starts, crowdJobs, c.command("run", "--bundle", bundle, b.id(c)+"-")...)
	})
	trials = b.withFloor(r, trials, bundle, func(floor string) (cost, error) {
		return b.watch.timeMany(b.opt.starts, crowdJobs, floor, "-")
	})
	trials = b.withGoAndFloor(r, trials, bundle, func(argv ...string) (cost, error) {
		return b.watch.timeMany(b.opt.starts, crowdJobs, append(argv, "-")...)
	})
	r.Rounds = min(r.Rounds, throughputRounds)
	r.Series, err = b.inTurnsAfter(1, r.Rounds, trials)
	for i := range r.Series {
		s := &r.Series[i]
		if s.Wall == nil {
			continue
		}
		var rates []float64
		for _, ms := range s.Wall.Samples {
			rates = append(rates, float64(b.opt.starts)/ms*1000)
		}
		s.Value = spreadOf(rates)
	}
	return err
}
