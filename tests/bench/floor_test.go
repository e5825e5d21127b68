package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// The plan in testdata has each operation that the floor knows but seccomp; see steps.golden for what becomes of it.
func TestFloorSteps(t *testing.T) {
	plan, err := os.ReadFile("testdata/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := floorSteps(plan, nil, testHierarchies())
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/steps.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("steps.h is no longer %s; with -update it is written again:\n%s", golden, got)
	}
	// What it says must be C.
	if err := compileC("floor.c", filepath.Join(t.TempDir(), "floor"), map[string]string{"steps.h": got}); err != nil {
		t.Error(err)
	}
}

// A cpuset is looked up on the host, so that hierarchy is not among these.
func testHierarchies() []hierarchy {
	return []hierarchy{
		{mountpoint: "/cg/pids", controllers: []string{"pids"}},
		{mountpoint: "/cg/memory", controllers: []string{"memory"}},
		{mountpoint: "/cg", unified: true},
	}
}

func TestFloorSeccomp(t *testing.T) {
	plan := `{"steps": [{"op": "sync", "args": {"point": "seccomp", "fds": 1}}, {"op": "seccomp", "args": {"program": "seccomp"}}]}`
	config := `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ERRNO"}]}}}`
	got, err := floorSteps([]byte(plan), []byte(config), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The answers of the profile are among the program's instructions, each with a line of its own.
	for _, want := range []string{"0x7fff0000u}", "0x50001u}", "NEED(op_seccomp("} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if err := compileC("floor.c", filepath.Join(t.TempDir(), "floor"), map[string]string{"steps.h": got}); err != nil {
		t.Error(err)
	}
}

// What the floor does not know it must not leave out in silence.
func TestFloorRefuses(t *testing.T) {
	for plan, want := range map[string]string{
		`{"steps": [{"op": "dance"}]}`:                                                       "operation dance",
		`{"steps": [{"op": "open_tree", "args": {"in_root": true}}]}`:                        "inside the rootfs",
		`{"steps": [{"op": "mount_setattr", "args": {"userns": "fd40"}}]}`:                   "id-mapped",
		`{"steps": [{"op": "write_slot", "args": {"to": "fd40"}}]}`:                          "fd40",
		`{"steps": [{"op": "sync", "args": {"point": "cgroup", "fds": 3}}]}`:                 "3 tasks files",
		`{"steps": [{"op": "execve", "args": {"argv": ["true"]}}]}`:                          "absolute",
		`{"cgroup": [{"step": "mkdir /elsewhere/x"}]}`:                                       "no mounted hierarchy",
		`{"cgroup": [{"step": "touch /cg/x"}]}`:                                              "touch",
		`{"cgroup": [{"step": "mkdir /cg/pids/x"}, {"step": "write \"1\" to hugetlb.max"}]}`: "hugetlb",
		`{"devices": ["0: Jump dst: r0"]}`:                                                   "Jump",
		`[]`:                                                                                 "plan",
	} {
		if _, err := floorSteps([]byte(plan), nil, testHierarchies()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", plan, err, want)
		}
	}
}

func TestAssembleFilter(t *testing.T) {
	got, err := assembleFilter([]string{
		"0: LdXMemW dst: r2 src: r1 off: 4 imm: 0",
		"\t 1: JEq32Imm dst: r2 off: -1 imm: 7 <there>",
		"\t  ; a comment", "there:",
		"\t 2: Exit",
	})
	want := []byte{
		0x61, 0x12, 4, 0, 0, 0, 0, 0,
		0x16, 0x02, 0xff, 0xff, 7, 0, 0, 0,
		0x95, 0, 0, 0, 0, 0, 0, 0,
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v (in the byte order of a little-endian machine)", got, err, want)
	}
	for _, bad := range [][]string{{"0: Call imm: 1"}, {"0: Exit dst: rx"}, {"0: Exit size: 1"}, nil} {
		if _, err := assembleFilter(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestCQuote(t *testing.T) {
	if got, want := cQuote("a\"b\\c\n\x80é??/"), `"a\"b\\c\012\200\303\251\?\?/"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNormalize(t *testing.T) {
	got := normalize("== mounts\n" +
		"31 23 0:28 / /b rw,relatime - tmpfs tmpfs rw\n" +
		"30 23 0:27 / /a ro - proc proc rw\n" +
		"== status\nName:\tcat\nUid:\t0\t0\t0\t0\nSeccomp:\t2\n== network\nlo: 5 5 5\n")
	want := []string{
		"mounts: / /a ro - proc proc rw", "mounts: / /b rw,relatime - tmpfs tmpfs rw",
		"status: Seccomp: 2", "status: Uid: 0 0 0 0", "network: lo:",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if d := firstDifference(want, want[1:]); d != `only berth has "mounts: / /a ro - proc proc rw"` {
		t.Error(d)
	}
	if d := firstDifference(want[1:], want); !strings.HasPrefix(d, "only the floor has") {
		t.Error(d)
	}
	if d := firstDifference(append(want, want[0]), want); d == "" {
		t.Error("a line that is there twice is the same as once")
	}
}
