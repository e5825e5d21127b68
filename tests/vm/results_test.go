package main

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// What a test program prints with -test.v=test2json, \x16 before each mark.
const programOutput = "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.10s)\n" +
	"\x16=== RUN   TestB\n\x16=== RUN   TestB/one\n    b_test.go:7: why it failed\n\x16--- FAIL: TestB/one (0.00s)\n" +
	"\x16=== RUN   TestB/two\n\x16--- PASS: TestB/two (0.00s)\n\x16--- FAIL: TestB (0.20s)\n" +
	"\x16=== RUN   TestC\n    c_test.go:9: no rdma: none here\n\x16--- SKIP: TestC (0.00s)\n" +
	"\x16=== RUN   TestD\n    d_test.go:3: needs root\n\x16--- SKIP: TestD (0.00s)\n" +
	"\x16FAIL\n"

func outcomeOf(t *testing.T, raw string, a answer, skips string) outcome {
	t.Helper()
	allowed, err := parseSkips(skips)
	if err != nil {
		t.Fatal(err)
	}
	events, err := convert(context.Background(), "v1/root", []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return judge("v1/root", events, a, allowed)
}

func failedTests(o outcome) []string {
	var names []string
	for _, f := range o.failed {
		names = append(names, f.test)
	}
	return names
}

// An allowed skip is counted with its reason, any other is a failure; a parent counts through its subtests.
func TestJudgeCounts(t *testing.T) {
	o := outcomeOf(t, programOutput, answer{exit: "1", seconds: 3}, "v1/* TestC the kernel has no rdma device")
	if got, want := o.figures(), "2 passed, 2 failed, 1 skipped"; got != want {
		t.Errorf("figures: %s, want %s", got, want)
	}
	if got := failedTests(o); !slices.Equal(got, []string{"TestB/one", "TestD"}) {
		t.Errorf("failed: %q", got)
	}
	if len(o.skipped) != 1 || o.skipped[0] != (skip{"TestC", "no rdma: none here", "the kernel has no rdma device"}) {
		t.Errorf("skipped: %q", o.skipped)
	}
	if !strings.Contains(o.failed[0].output, "why it failed") {
		t.Errorf("a failed test's output is lost: %q", o.failed[0].output)
	}
	// A reader of the events sees the same verdicts.
	var ended []string
	for _, e := range o.events {
		if e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
			ended = append(ended, e.Action+" "+e.Test)
		}
	}
	want := []string{"pass TestA", "fail TestB/one", "pass TestB/two", "fail TestB", "skip TestC", "fail TestD"}
	if !slices.Equal(ended, want) {
		t.Errorf("events: %q\nwant %q", ended, want)
	}
}

// Whatever keeps a job from its end makes it fail.
func TestJudgeEnds(t *testing.T) {
	const passing = "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.10s)\n\x16PASS\n"
	for name, c := range map[string]struct {
		raw    string
		answer answer
		failed []string
	}{
		"all is well":             {passing, answer{exit: "0"}, nil},
		"exit status":             {passing, answer{exit: "2"}, []string{"job"}},
		"no test":                 {"testing: warning: no tests to run\n\x16PASS\n", answer{exit: "0"}, []string{"job"}},
		"no output":               {"", answer{exit: "0"}, []string{"job"}},
		"before":                  {"mount: no\n", answer{exit: "before"}, []string{"job"}},
		"after":                   {passing, answer{exit: "0", after: "no scope"}, []string{"after"}},
		"left":                    {passing, answer{exit: "0", left: "/sys/fs/cgroup/x"}, []string{"left"}},
		"deadline":                {"\x16=== RUN   TestA\n", answer{exit: "deadline"}, []string{"TestA", "job"}},
		"a test that never ended": {"\x16=== RUN   TestA\n\x16=== RUN   TestA/x\npanic: test timed out\n", answer{exit: "2"}, []string{"TestA/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := outcomeOf(t, c.raw, c.answer, "")
			if got := failedTests(o); !slices.Equal(got, c.failed) {
				t.Errorf("failed: %q, want %q", got, c.failed)
			}
		})
	}
}

// What the kernel logged is told with a failure.
func TestJudgeKernel(t *testing.T) {
	o := outcomeOf(t, programOutput, answer{exit: "1", kernel: "segfault at 0"}, "v1/* TestC the kernel has no rdma device")
	last := o.failed[len(o.failed)-1]
	if !strings.Contains(last.output, "segfault at 0\n") || strings.Contains(o.failed[0].output, "segfault") {
		t.Errorf("failures: %+v", o.failed)
	}
	if e := o.events[len(o.events)-1]; e.Action != "output" || e.Output != "segfault at 0\n" || e.Test != "" {
		t.Errorf("the last event is %+v", e)
	}
}

// A job that the machine never came to the end of says so, for the caller to add why.
func TestJudgeUnfinished(t *testing.T) {
	if o := outcomeOf(t, "", answer{}, ""); !o.unfinished || len(o.failed) != 0 {
		t.Errorf("outcome: %+v", o)
	}
}

func TestSkips(t *testing.T) {
	list, err := parseSkips("# why\n\n*/root-* TestA/* no such device\nv1/root TestB  two  words\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ job, test, why string }{
		{"unified/root-systemd", "TestA/x", "no such device"},
		{"unified/root-systemd", "TestA", ""},
		{"unified/rootless", "TestA/x", ""},
		{"v1/root", "TestB", "two words"},
	} {
		if why, ok := list.why(c.job, c.test, "any"); why != c.why || ok != (c.why != "") {
			t.Errorf("%s %s: %q %v, want %q", c.job, c.test, why, ok, c.why)
		}
	}
	if unused := list.unused(); len(unused) != 0 {
		t.Errorf("unused: %v", unused)
	}
	const only = "berth only: a promise"
	if _, ok := list.why("v1/root", "TestC", only); ok {
		t.Errorf("berth may skip a test of what only berth has")
	}
	list.reference = true
	if _, ok := list.why("v1/root", "TestC", only); !ok {
		t.Errorf("another runtime may not skip a test of what only berth has")
	}
	for _, bad := range []string{"v1/root TestA", "v1/[ TestA why"} {
		if _, err := parseSkips(bad); err == nil || !strings.HasPrefix(err.Error(), "1: ") {
			t.Errorf("%q: error %v, want one of line 1", bad, err)
		}
	}
}
