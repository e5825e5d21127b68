package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// counts is the outcome of a suite. A test with subtests is not counted itself, since they are, unless it failed
// on its own.
type counts struct {
	Passed  int       `json:"passed"`
	Failed  []string  `json:"failed"`
	Skipped []skipped `json:"skipped"`
}

// skipped is a test that did not run, and why.
type skipped struct {
	Test   string `json:"test"`
	Reason string `json:"reason"`
}

func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, len(c.Failed), len(c.Skipped))
}

// ok is false, too, when no test ran: a suite that lost its tests must not look green.
func (c counts) ok() bool {
	return len(c.Failed) == 0 && c.Passed+len(c.Skipped) > 0
}

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

// run is what is known of one test, or (with no name) of its package.
type run struct {
	output      strings.Builder
	hasSubtests bool
	subFailed   bool
}

// count reads a stream of events and writes the output of what failed to out as it happens.
func count(out io.Writer, in io.Reader) (counts, error) {
	var c counts
	runs := map[string]*run{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// The go command itself speaks plainly, about a package that does not build for one.
			fmt.Fprintln(out, lines.Text())
			continue
		}
		if e.Action == "build-output" {
			fmt.Fprint(out, e.Output)
			continue
		}
		key := e.Package + " " + e.Test
		r := runs[key]
		if r == nil {
			r = &run{}
			runs[key] = r
			noteParents(runs, e, func(parent *run) { parent.hasSubtests = true })
		}
		switch e.Action {
		case "output":
			r.output.WriteString(e.Output)
		case "pass":
			if e.Test != "" && !r.hasSubtests {
				c.Passed++
			}
		case "skip":
			if e.Test != "" && !r.hasSubtests {
				c.Skipped = append(c.Skipped, skipped{e.Test, reason(r.output.String())})
			}
		case "fail":
			noteParents(runs, e, func(parent *run) { parent.subFailed = true })
			if !r.subFailed {
				c.Failed = append(c.Failed, strings.TrimSpace(e.Test+" ("+e.Package+")"))
				fmt.Fprint(out, r.output.String())
			}
		}
		if e.Action == "pass" || e.Action == "skip" {
			r.output.Reset()
		}
	}
	return c, lines.Err()
}

// noteParents tells every test that e's test is a part of, and the package.
func noteParents(runs map[string]*run, e event, note func(*run)) {
	for name := e.Test; name != ""; {
		cut := max(strings.LastIndexByte(name, '/'), 0)
		name = name[:cut]
		key := e.Package + " " + name
		if runs[key] == nil {
			runs[key] = &run{}
		}
		note(runs[key])
	}
}

// reason finds the text that a test gave to t.Skip in its output, a line such as "    file_test.go:12: text".
func reason(output string) string {
	found := "no reason given"
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok = strings.Cut(text, ": "); ok {
				found = strings.TrimSpace(text)
			}
		}
	}
	return found
}
