package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action  string
	Package string
	Test    string  `json:",omitempty"`
	Elapsed float64 `json:",omitempty"` // seconds
	Output  string  `json:",omitempty"`
}

// outcome is what came of a job. A test with subtests is not counted itself, since they are, unless it failed on
// its own.
type outcome struct {
	job        string // MACHINE/JOB
	passed     int
	failed     []failure
	skipped    []skip
	seconds    int
	unfinished bool // the machine did not say how the job ended

	events []event // as `go test -json` would give them, with the verdicts of this command in place of skips
}

// failure is a test that failed, or "job" for what concerns all of it.
type failure struct{ test, output string }

// skip is a test that was skipped and may be.
type skip struct{ test, reason, why string }

func (o *outcome) figures() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", o.passed, len(o.failed), len(o.skipped))
}

// fail adds a failure that no test told of.
func (o *outcome) fail(test, output string) {
	o.failed = append(o.failed, failure{test, output})
	for line := range strings.Lines(output) {
		o.events = append(o.events, event{Action: "output", Package: o.job, Test: test, Output: strings.TrimRight(line, "\n") + "\n"})
	}
	o.events = append(o.events, event{Action: "fail", Package: o.job, Test: test})
}

// answer is what a machine wrote about a job, as guest/jobs describes it.
type answer struct {
	exit      string // "" when the job did not end
	left      string
	diagnosis string
	kernel    string // what the kernel logged during a job that failed
	after     string
	seconds   int
}

// judgeJob reads a job's folder of results and judges it. It gives an outcome whatever is missing there.
func judgeJob(ctx context.Context, name, folder string, allowed *skipList) outcome {
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return "" // the machine did not get that far
		}
		return strings.TrimSpace(string(text))
	}
	a := answer{exit: read("exit"), left: read("left"), diagnosis: read("diagnosis"), kernel: read("kernel"), after: read("after")}
	fmt.Sscan(read("seconds"), &a.seconds)
	raw, _ := os.ReadFile(filepath.Join(folder, "output"))
	events, err := convert(ctx, name, raw)
	if err != nil {
		o := outcome{job: name}
		o.fail("job", fmt.Sprintf("%v\n%s", err, lastLines(string(raw), 40)))
		return o
	}
	return judge(name, events, a, allowed)
}

// convert turns the output of a test program (-test.v=test2json) into events.
func convert(ctx context.Context, name string, raw []byte) ([]event, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	cmd := command(ctx, "go", "tool", "test2json", "-p", name)
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	var events []event
	for line := range bytes.Lines(out) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("go tool test2json: %w in %q", err, line)
		}
		events = append(events, e)
	}
	return events, nil
}

// testState is what is known of one test while its events are read.
type testState struct {
	output      strings.Builder
	ended       bool
	hasSubtests bool
	told        bool // it, or one of its subtests, was counted as failed
}

// judge counts a job's tests. What makes it fail beside them: a skip that is not allowed, a test that did not end,
// an exit status without a failed test, no test at all, anything left on the machine.
func judge(name string, events []event, a answer, allowed *skipList) outcome {
	o := outcome{job: name, seconds: a.seconds, unfinished: a.exit == ""}
	tests := map[string]*testState{}
	var order []string
	var plain strings.Builder // what belongs to no test
	for _, e := range events {
		if e.Test == "" {
			if e.Action == "output" {
				plain.WriteString(e.Output)
			}
			continue
		}
		t := tests[e.Test]
		if t == nil {
			t = &testState{}
			tests[e.Test] = t
			order = append(order, e.Test)
			forParents(tests, e.Test, func(p *testState) { p.hasSubtests = true })
		}
		o.count(e, t, tests, allowed)
	}
	for i := len(order) - 1; i >= 0; i-- { // subtests before their parents
		if t := tests[order[i]]; !t.ended && !t.told {
			t.told = true
			forParents(tests, order[i], func(p *testState) { p.told = true })
			o.fail(order[i], t.output.String()+"did not end\n")
		}
	}
	o.judgeEnd(a, plain.String())
	return o
}

// count takes in one event of a test.
func (o *outcome) count(e event, t *testState, tests map[string]*testState, allowed *skipList) {
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass":
		t.ended = true
		if !t.hasSubtests {
			o.passed++
		}
	case "skip":
		t.ended = true
		reason := skipReason(t.output.String())
		why, ok := allowed.why(o.job, e.Test, reason)
		if !ok && !t.told {
			t.told = true
			forParents(tests, e.Test, func(p *testState) { p.told = true })
			o.fail(e.Test, t.output.String()+"skipped, which tests/vm/skips does not allow\n")
			return
		}
		if ok && !t.hasSubtests {
			o.skipped = append(o.skipped, skip{e.Test, reason, why})
		}
	case "fail":
		t.ended = true
		forParents(tests, e.Test, func(p *testState) { p.told = true })
		if !t.told {
			t.told = true
			o.failed = append(o.failed, failure{e.Test, t.output.String()})
		}
	}
	o.events = append(o.events, e)
}

// judgeEnd takes in what is known of the job as a whole.
func (o *outcome) judgeEnd(a answer, plain string) {
	tail := lastLines(plain, 60) + "\n"
	switch {
	case a.exit == "":
		// The caller knows why; it adds that.
	case a.exit == "deadline":
		o.fail("job", tail+"the job was ended at its deadline\n"+a.diagnosis)
	case a.exit == "before":
		o.fail("job", tail+"what the job needs first failed (before, in tests/vm/machines.go)\n")
	case a.exit != "0" && len(o.failed) == 0:
		o.fail("job", tail+"exit status "+a.exit+", although no test failed\n")
	case o.passed+len(o.failed)+len(o.skipped) == 0:
		o.fail("job", tail+"no test ran\n")
	}
	if a.after != "" {
		o.fail("after", a.after)
	}
	if a.left != "" {
		o.fail("left", "left on the machine after the job:\n"+a.left+"\n")
	}
	if len(o.failed) > 0 && a.kernel != "" {
		o.tell("the kernel's log of the job ends with:\n" + lastLines(a.kernel, 20) + "\n")
	}
}

// tell adds to the last failure what may explain it.
func (o *outcome) tell(text string) {
	last := &o.failed[len(o.failed)-1]
	last.output += text
	for line := range strings.Lines(text) {
		o.events = append(o.events, event{Action: "output", Package: o.job, Output: line})
	}
}

// forParents calls do for all tests that the named one is a part of.
func forParents(tests map[string]*testState, name string, do func(*testState)) {
	for cut := strings.LastIndexByte(name, '/'); cut >= 0; cut = strings.LastIndexByte(name, '/') {
		name = name[:cut]
		if tests[name] == nil {
			tests[name] = &testState{ended: true} // its own events will tell more
		}
		do(tests[name])
	}
}

// skipReason finds the text given to t.Skip in a test's output, a line such as "    file_test.go:12: text".
func skipReason(output string) string {
	found := "no reason given"
	for line := range strings.Lines(output) {
		_, text, ok := strings.Cut(line, ".go:")
		if !ok || !strings.HasPrefix(line, "    ") {
			continue
		}
		if _, text, ok = strings.Cut(text, ": "); ok {
			found = strings.TrimSpace(text)
		}
	}
	return found
}
