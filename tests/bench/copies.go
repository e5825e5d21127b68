package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// roundsPerCopy is how many rounds are measured with one copy of each program. Where its pages happen to lie in memory
// makes a program up to a fifth faster or slower, the same one from copy to copy: berth --version took 2.0 ms from one
// file and 2.4 from another, whose bytes were the same.
const roundsPerCopy = 5

// programs is the folder of the copies, beside scratch, as that is a tmpfs, which keeps its pages otherwise.
func (o *options) programs() string { return o.scratch + "-programs" }

// copyPrograms has every contestant run from a new copy of its program.
func (b *bench) copyPrograms() error {
	b.copies++
	var old []string
	for _, c := range b.contestants {
		program, err := os.ReadFile(c.source)
		if err != nil {
			return err
		}
		path := filepath.Join(b.opt.programs(), c.name+"-"+strconv.Itoa(b.copies))
		if err := os.WriteFile(path, program, 0o755); err != nil {
			return err
		}
		if c.path != c.source {
			old = append(old, c.path)
		}
		c.path = path
		if err := exec.Command(c.path, "--version").Run(); err != nil {
			return fmt.Errorf("%s, a copy of %s: %w", c.path, c.source, err)
		}
	}
	for _, path := range old { // only now: the new ones were not to get the same pages
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
