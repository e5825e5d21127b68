package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// shownLines is how much of a failed test's output is printed; all of it is in the folder of logs.
const shownLines = 60

// list prints the machines and their jobs.
func list(out io.Writer, all []machine) {
	for _, m := range all {
		fmt.Fprintf(out, "%s: %s\n", m.name, m.about)
		for _, j := range m.jobs {
			asked := ""
			if j.more {
				asked = ", only with -all or by name"
			}
			fmt.Fprintf(out, "    %-32s %s as %s%s\n", m.name+"/"+j.name, "./"+j.pkg, j.account, asked)
		}
	}
}

// report prints all outcomes, the skips, the times and the figures, and tells whether every job succeeded.
// whole says that nothing was left out, so that a row of tests/vm/skips which allowed nothing is out of date.
func (h *harness) report(outcomes []outcome, allowed *skipList, whole bool) bool {
	out := io.Writer(os.Stdout)
	if h.json {
		encoder := json.NewEncoder(os.Stdout)
		for _, o := range outcomes {
			for _, e := range o.events {
				_ = encoder.Encode(e) // a reader that went away has seen enough
			}
		}
		out = h.progress
	}
	passed, failed, skipped := 0, 0, 0
	for _, o := range outcomes {
		for _, f := range o.failed {
			if !h.json { // whoever reads the events shows it
				fmt.Fprintf(out, "\n--- %s: %s\n%s\n", o.job, f.test, lastLines(f.output, shownLines))
			}
		}
	}
	fmt.Fprintln(out)
	for _, o := range outcomes {
		passed, failed, skipped = passed+o.passed, failed+len(o.failed), skipped+len(o.skipped)
		fmt.Fprintf(out, "%-32s %-42s %4d s\n", o.job, o.figures(), o.seconds)
		for _, f := range o.failed {
			fmt.Fprintf(out, "    failed  %s\n", f.test)
		}
		for _, s := range o.skipped {
			fmt.Fprintf(out, "    skipped %s: %s (allowed: %s)\n", s.test, s.reason, s.why)
		}
	}
	if whole {
		for _, row := range allowed.unused() {
			fmt.Fprintf(out, "tests/vm/skips:%d: %s %s was skipped nowhere: is the row out of date?\n", row.line, row.job, row.test)
		}
	}
	fmt.Fprintln(out)
	for _, p := range h.phases {
		fmt.Fprintf(out, "%-32s %4.0f s", p.name, p.took.Seconds())
		if p.processor > 0 {
			fmt.Fprintf(out, ", %.0f s of processor time", p.processor.Seconds())
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%-32s %4.0f s\n\n", "in all", time.Since(h.started).Seconds())
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0 && passed > 0
}
