package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lines of `go test -json`, with what the counting does not read left out.
const stream = `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestB/one"}
{"Action":"output","Package":"p","Test":"TestB/one","Output":"    b_test.go:7: why it failed\n"}
{"Action":"run","Package":"p","Test":"TestB/two"}
{"Action":"fail","Package":"p","Test":"TestB/one"}
{"Action":"pass","Package":"p","Test":"TestB/two"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: no cgroup: v2 here\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- SKIP: TestC (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
`

// A parent counts through its subtests, a failure is shown with its output, a skip has its reason.
func TestCountOfAStream(t *testing.T) {
	var out strings.Builder
	c, err := count(&out, strings.NewReader(strings.TrimSpace(stream)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.String(), "2 passed, 1 failed, 1 skipped"; got != want {
		t.Errorf("counts: %s, want %s", got, want)
	}
	if len(c.Failed) != 1 || c.Failed[0] != "TestB/one (p)" {
		t.Errorf("failed: %q", c.Failed)
	}
	if len(c.Skipped) != 1 || c.Skipped[0] != (skipped{"TestC", "no cgroup: v2 here"}) {
		t.Errorf("skipped: %q", c.Skipped)
	}
	if !strings.Contains(out.String(), "why it failed") {
		t.Errorf("the failed test's output is not shown: %q", out.String())
	}
}

// A package that ends without its tests failing (a panic, a time-out, no build), and a stream without tests,
// must not count as success.
func TestCountOfBrokenRuns(t *testing.T) {
	for name, in := range map[string]string{
		"no tests":  `{"Action":"pass","Package":"p"}`,
		"timed out": `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`,
		"no build":  `{"Action":"build-fail","ImportPath":"p"}` + "\n" + `{"Action":"fail","Package":"p"}`,
		"own check of a parent": `{"Action":"pass","Package":"p","Test":"TestA/sub"}` + "\n" +
			`{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`,
	} {
		c, err := count(&strings.Builder{}, strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if c.ok() {
			t.Errorf("%s: counted as success: %s", name, c)
		}
	}
}

// The total adds the suites up and ends with the plain line.
func TestTotal(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.json": `{"passed":3,"skipped":[{"test":"T","reason":"R"}]}`,
		"b.json": `{"passed":4,"failed":["F"]}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	ok, err := addUp(&out, folder)
	if err != nil || ok {
		t.Errorf("ok %v, error %v; want a failed total", ok, err)
	}
	if !strings.HasSuffix(out.String(), "\n7 passed, 1 failed, 1 skipped\n") {
		t.Errorf("total ends with %q", out.String())
	}
}
