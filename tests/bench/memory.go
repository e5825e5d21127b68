package main

import (
	"debug/elf"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sharedLibraries lists what the dynamic loader would load for a program; nothing for a static one.
func sharedLibraries(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ImportedLibraries()
}

// waitingSamples is how many created containers are looked at: their memory hardly differs.
const waitingSamples = 5

// measureWaiting looks at what waits between create and start: the memory that is its own, which is what every
// container more costs (proc_pid_smaps(5), Private_Clean and Private_Dirty of smaps_rollup).
func measureWaiting(b *bench, r *Result) error {
	bundle, err := b.bundle(specDefault)
	if err != nil {
		return err
	}
	for _, c := range b.contestants {
		var private, resident []float64
		s := Series{Name: c.name}
		for range waitingSamples {
			ct, _, err := b.start(c, bundle, true)
			if err == nil {
				var own, all float64
				own, all, err = memoryOf(ct.pid)
				private, resident = append(private, own), append(resident, all)
				ct.remove()
			}
			if err != nil && c.name == "berth" {
				return err
			}
			if err != nil {
				s.Skipped = oneLine(err)
				break
			}
		}
		if s.Skipped == "" {
			s.Value = spreadOf(private)
			r.Notes = append(r.Notes, fmt.Sprintf("%s: resident with what is shared %s KB", c.name, number(median(resident))))
		}
		r.Series = append(r.Series, s)
	}
	return nil
}

// memoryOf returns a process's private and its resident memory in KB.
func memoryOf(pid int) (private, resident float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseRollup(string(text))
}

// parseRollup reads smaps_rollup.
func parseRollup(text string) (private, resident float64, err error) {
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) != 2 || fields[1] != "kB" {
			continue
		}
		kb, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, 0, err
		}
		switch name {
		case "Private_Clean", "Private_Dirty":
			private += kb
		case "Rss":
			resident = kb
		}
	}
	if resident == 0 {
		return 0, 0, fmt.Errorf("smaps_rollup tells no resident memory")
	}
	return private, resident, nil
}

// limitTries is how many runs in a row must succeed before a limit counts as enough.
const limitTries = 3

// lowest finds the lowest n in (low, high] with which a container of c runs, by bisection; 0 when high is too low.
// That what is enough stays enough for every higher limit is taken for granted.
func (b *bench) lowest(c *contestant, low, high int64, limit func(int64) change) (int64, error) {
	enough := func(n int64) (bool, error) {
		bundle, err := b.bundle(specDefault, limit(n))
		if err != nil {
			return false, err
		}
		defer os.RemoveAll(bundle)
		for range limitTries {
			if _, err := b.run(c, c.root, bundle); err != nil {
				return false, nil
			}
		}
		return true, nil
	}
	if ok, err := enough(high); err != nil || !ok {
		return 0, err
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := enough(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// measureLowest fills a row with the lowest limit of each contestant, in units of scale.
func (b *bench) measureLowest(r *Result, high int64, scale float64, limit func(int64) change) error {
	for _, c := range b.contestants {
		n, err := b.lowest(c, 0, high, limit)
		if err != nil {
			return err
		}
		s := Series{Name: c.name}
		switch {
		case n > 0:
			s.Value = spreadOf([]float64{float64(n) * scale})
		case c.name == "berth":
			return fmt.Errorf("berth does not run with the highest limit that is tried, %s %s", number(float64(high)*scale), r.Unit)
		default:
			s.Skipped = fmt.Sprintf("does not run with %s %s either", number(float64(high)*scale), r.Unit)
		}
		r.Series = append(r.Series, s)
	}
	return nil
}

// The kernel counts memory in pages. 64 MB are enough for every runtime known.
const highestPages = 64 << 20 / 4096

func measureLowestMemory(b *bench, r *Result) error {
	page := int64(os.Getpagesize())
	return b.measureLowest(r, highestPages, float64(page)/1024, func(pages int64) change { return withMemoryLimit(pages * page) })
}

func measureLowestPids(b *bench, r *Result) error {
	return b.measureLowest(r, 64, 1, withPidsLimit)
}
