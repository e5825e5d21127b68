//go:build amd64 || arm64

package entry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// build builds testdata/program, which begins at entry.
func build(t *testing.T) string {
	t.Helper()
	for _, source := range []string{"entry.go", "entry_" + runtime.GOARCH + ".s", "slack.h"} {
		if _, err := os.ReadFile(source); err != nil { // for go test's cache: what it reads is part of the key
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", program, "-ldflags", "-E berth/entry.entry", "./testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// canPopulate says whether the kernel maps pages at once when it is asked to (Linux 5.14).
func canPopulate(t *testing.T) bool {
	t.Helper()
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	return !errors.Is(unix.Madvise(page, unix.MADV_POPULATE_WRITE), unix.EINVAL)
}

// seen is what the program prints.
type seen struct {
	Args, Env                 []string
	GOMAXPROCS                int
	PageSize                  int
	BuckHashSys               int
	Code, CodeMapped, HeapRun int
	Open                      []string
	Files                     string
	Slack, Child              string
	Threads                   []string
}

func run(t *testing.T, program string, args, env []string) seen {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var s seen
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// A program that begins at entry has its arguments and its environment whole, the
// auxiliary vector (the size of a page comes from there), and one processor of Go's, or
// what its user says.
func TestEntry(t *testing.T) {
	program := build(t)
	const ours = "GOMAXPROCS=01"
	many := make([]string, 2000)
	for i := range many {
		many[i] = strings.Repeat("x", i)
	}
	for _, c := range []struct {
		name      string
		args, env []string
		added     bool
		want      int
	}{
		{"nothing", nil, []string{}, true, 1},
		{"one of each", []string{"a"}, []string{"A=b"}, true, 1},
		{"two of each", []string{"a", "b c"}, []string{"A=b", "C="}, true, 1},
		{"many", many, []string{"LAST=" + many[1999], "A=1"}, true, 1},
		{"the user's comes first", []string{"a"}, []string{"A=b", "GOMAXPROCS=3", "C=d"}, false, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := run(t, program, c.args, c.env)
			env := c.env
			if c.added {
				env = append(slices.Clone(env), ours)
			}
			if !slices.Equal(seen.Args[1:], c.args) || !slices.Equal(seen.Env, env) {
				t.Errorf("%.200q %.200q, want %.200q %.200q", seen.Args, seen.Env, c.args, env)
			}
			if seen.GOMAXPROCS != c.want || seen.PageSize != os.Getpagesize() {
				t.Errorf("GOMAXPROCS %d, pages of %d, want %d, %d", seen.GOMAXPROCS, seen.PageSize, c.want, os.Getpagesize())
			}
		})
	}
}

// Go's runtime has opened no file to find out about its cgroup's quota
// (docs/decisions/014-no-quota.md), and what is started has the limit of descriptors that
// the program was started with.
func TestFiles(t *testing.T) {
	program := build(t)
	for _, limits := range []string{"100\n200\n", "200\n200\n"} {
		soft, hard, _ := strings.Cut(strings.TrimSpace(limits), "\n")
		for _, closed := range []string{"", " 0<&-", " 2>&-"} {
			t.Run(soft+closed, func(t *testing.T) {
				seen := run(t, "/bin/sh", []string{"-c", "ulimit -Sn " + soft + "; ulimit -Hn " + hard + "; exec \"$0\"" + closed, program}, []string{})
				if seen.Files != limits {
					t.Errorf("a child's limits are %q, want %q", seen.Files, limits)
				}
				if slices.ContainsFunc(seen.Open, func(name string) bool { return strings.HasPrefix(name, "/sys/") }) {
					t.Errorf("%q is open", seen.Open)
				}
			})
		}
	}
}

// Go's monitor may be woken late (docs/decisions/017-timer-slack.md); the first thread, and
// what is started, has the timer slack that the program was started with.
func TestTimerSlack(t *testing.T) {
	program := build(t)
	for _, c := range []struct {
		before  int // nanoseconds
		monitor string
	}{{50_000, "5000000\n"}, {1, "5000000\n"}, {7_000_000, "7000000\n"}} {
		t.Run(fmt.Sprint(c.before), func(t *testing.T) {
			runtime.LockOSThread() // it ends with the test
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.before), 0, 0, 0); err != nil {
				t.Fatal(err)
			}
			seen := run(t, program, nil, []string{})
			want := fmt.Sprintln(c.before)
			if seen.Slack != want || seen.Child != want {
				t.Errorf("the first thread has %q, a child %q, want %q", seen.Slack, seen.Child, want)
			}
			if !slices.Contains(seen.Threads, c.monitor) {
				t.Errorf("the other threads have %q, want one with %q", seen.Threads, c.monitor)
			}
		})
	}
}

// It begins with the pages that docs/decisions/013-pages-at-once.md names.
func TestPages(t *testing.T) {
	if !canPopulate(t) {
		t.Skip("this kernel maps pages one by one")
	}
	program := build(t)
	most := 0
	for range 20 {
		seen := run(t, program, nil, []string{})
		if seen.Code == 0 || seen.CodeMapped != seen.Code {
			t.Fatalf("%d of %d pages of code are mapped, want all", seen.CodeMapped, seen.Code)
		}
		if seen.BuckHashSys >= 1<<20 { // 1.4 MB after the first sample, 3 KB before
			t.Fatalf("Go has taken a sample of memory: its table has %d bytes", seen.BuckHashSys)
		}
		// Go's heap begins anywhere: it may have to go on elsewhere soon.
		if most = max(most, seen.HeapRun); most >= 96 {
			return
		}
	}
	t.Errorf("at most %d pages of the heap in a row are mapped, want 96", most)
}
