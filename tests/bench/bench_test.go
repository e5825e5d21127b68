package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// builtIn is the folder of the bench's program, once a test has needed it.
var builtIn string

// program is the bench, built once.
var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "bench-test-")
	if err != nil {
		return "", err
	}
	builtIn = folder
	path := filepath.Join(folder, "bench")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// needsBench skips where a container cannot be measured, and returns the bench's program.
func needsBench(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("../../bin/berth"); err != nil {
		t.Fatalf("%v: run make", err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runBench runs the bench with few rounds and returns what it measured. The bench itself fails when berth does, and
// when a process or a cgroup is left.
func runBench(t *testing.T, program string, args ...string) *Report {
	t.Helper()
	folder := t.TempDir()
	base := []string{"-berth", "../../bin/berth", "-workloads", "../workloads", "-out", folder, "-pairs", "2", "-crowd", "3", "-starts", "4", "-apart", "1ms"}
	out, err := exec.Command(program, append(base, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("bench: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(folder, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Apart != "1ms" {
		t.Errorf("commands are %q apart, not 1ms", r.Apart)
	}
	for _, file := range []string{tableFile, chartFile} {
		if info, err := os.Stat(filepath.Join(folder, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	return &r
}

// Every row is measured of berth somewhere, or says why it cannot be here.
func TestEveryRow(t *testing.T) {
	report := runBench(t, needsBench(t))
	for _, row := range rows() {
		var results []*Result
		for i := range report.Results {
			if report.Results[i].Row == row.name {
				results = append(results, &report.Results[i])
			}
		}
		if len(results) == 0 && (row.where != unified || slices.Contains(layoutsOf(report.Machine.Cgroups), "v2")) {
			t.Errorf("%s: no result", row.name)
		}
		for _, r := range results {
			if r.Skipped != "" {
				t.Logf("%s, cgroup %s: skipped: %s", r.Row, r.Cgroups, r.Skipped)
				continue
			}
			checkFigures(t, r)
			// The bench counts the floor only where its container looks the same from inside.
			hasFloor := strings.HasPrefix(r.Row, "run-") && !strings.HasSuffix(r.Row, "-first") || slices.Contains([]string{"exec", "start", "list"}, r.Row)
			if _, why := r.measured("floor", wall); why != "" && hasFloor {
				t.Errorf("%s, cgroup %s: %s (%s)", r.Row, r.Cgroups, why, strings.Join(r.Notes, "; "))
			}
			if len(r.Verdicts) != len(row.bars) {
				t.Errorf("%s, cgroup %s: %d verdicts on %d bars", r.Row, r.Cgroups, len(r.Verdicts), len(row.bars))
			}
		}
	}
}

// checkFigures wants something measured of berth, that can be true.
func checkFigures(t *testing.T, r *Result) {
	t.Helper()
	for i := range r.Series {
		s := &r.Series[i]
		switch {
		case s.Skipped != "":
			t.Logf("%s, cgroup %s: %s: %s", r.Row, r.Cgroups, s.Name, s.Skipped)
			if s.Name == "berth" {
				t.Errorf("%s, cgroup %s: berth was not measured", r.Row, r.Cgroups)
			}
		case s.Value != nil:
			if s.Value.Median <= 0 {
				t.Errorf("%s, cgroup %s: %s has %v %s", r.Row, r.Cgroups, s.Name, s.Value.Median, r.Unit)
			}
		case s.Wall == nil || s.CPU == nil || s.Peak == nil:
			t.Errorf("%s, cgroup %s: %s has no figures", r.Row, r.Cgroups, s.Name)
		// A command of two milliseconds can be too short for the kernel's clock of CPU time.
		// Linux counts memory in batches of 64 pages, which the floor's programs may not reach.
		case s.Wall.Median <= 0 || s.Peak.Median < 0 || s.Peak.Median == 0 && s.Name != "floor" || s.CPU.Median < 0:
			t.Errorf("%s, cgroup %s: %s: %+v", r.Row, r.Cgroups, s.Name, s)
		}
	}
	if len(r.Series) == 0 || r.Series[0].Name != "berth" {
		t.Errorf("%s, cgroup %s: berth is not the first series: %+v", r.Row, r.Cgroups, r.Series)
	}
}

func TestBadUse(t *testing.T) {
	program := needsBench(t)
	for want, args := range map[string][]string{
		"no row":          {"-only", "run-spec,dance"},
		"cannot be had":   {"-cgroups", "v3"},
		"run the bench":   {"-docs", "nowhere", "-out", "nowhere"},
		"build it with":   {"-berth", "nowhere/berth"},
		"flag provided":   {"-dance"},
		"does not say":    {"-berth", "../../bin/berth", "-peers", "odd=/bin/true"},
		"there already":   {"-berth", "../../bin/berth", "-peers", "berth=/bin/true"},
		"run-spec-nolimi": {"-rows"},
	} {
		out, err := exec.Command(program, args...).CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != (args[0] == "-rows") {
			t.Errorf("%q: %v: want %q in\n%s", args, err, want, out)
		}
	}
}

// A berth that leaves a process and a cgroup makes the bench fail, and both are removed.
func TestLeftovers(t *testing.T) {
	bench := needsBench(t)
	berth, err := filepath.Abs("../../bin/berth")
	if err != nil {
		t.Fatal(err)
	}
	hierarchies, err := mountedHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	cgroup := hierarchies[0].mountpoint
	careless := filepath.Join(t.TempDir(), "berth")
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in *" delete "*) ;; *" state "*)
	sleep 987 </dev/null >/dev/null 2>&1 &
	for id; do :; done
	mkdir -p %s/"$id"-left ;;
esac
exec %s "$@"
`, cgroup, berth)
	if err := os.WriteFile(careless, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bench, "-berth", careless, "-workloads", "../workloads", "-out", t.TempDir(), "-pairs", "1",
		"-only", "state").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "left behind") || !strings.Contains(string(out), "(sleep)") || !strings.Contains(string(out), "-left") {
		t.Errorf("%v: want a failure that names a process and a cgroup:\n%s", err, out)
	}
	if left := cgroupsNamed("bench", hierarchies[:1]); slices.ContainsFunc(left, func(path string) bool { return strings.HasSuffix(path, "-left") }) {
		t.Errorf("still there: %v", left)
	}
}

// An interrupt in the middle leaves nothing either.
func TestInterrupt(t *testing.T) {
	bench := needsBench(t)
	cmd := exec.Command(bench, "-berth", "../../bin/berth", "-workloads", "../workloads", "-out", t.TempDir(), "-only", "state,exec", "-pairs", "100000")
	var out strings.Builder
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It is measuring once it says what.
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		out.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "exec /bin/true") {
			time.Sleep(500 * time.Millisecond)
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "ended early") {
		t.Errorf("%v: want a failure that says so:\n%s", err, out.String())
	}
	token := fmt.Sprintf("bench%d-", cmd.Process.Pid)
	hierarchies, err := mountedHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	if left := cgroupsNamed(token, hierarchies); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, file := range []string{"cmdline", "cgroup"} {
			text, err := os.ReadFile(filepath.Join("/proc", e.Name(), file))
			if err == nil && strings.Contains(string(text), token) {
				t.Errorf("left: process %s: %s: %q", e.Name(), file, text)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "berth-bench-*")); len(left) > 0 {
		t.Logf("folders of this name are there, perhaps another bench's: %v", left)
	}
}
