package integration

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The executable of a created container's process is not the runtime's file, nor a copy that can be written: a
// process in the container that reaches /proc/PID/exe must not reach the host's runtime (the CVE-2019-5736 class).
func TestCreatedExeIsNotTheRuntime(t *testing.T) {
	t.Parallel()
	berthOnly(t, "a created container's process that never is the runtime's own program")
	c := newContainer(t)
	c.create().ok(t)
	exe := fmt.Sprintf("/proc/%d/exe", c.state().Pid)
	runtime, err := os.Stat(host.runtime)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(runtime, waiting) {
		t.Errorf("%s is the runtime, %s", exe, host.runtime)
	}
	if waiting.Size() >= runtime.Size()/2 {
		t.Errorf("%s has %d bytes of the runtime's %d: it looks like a copy", exe, waiting.Size(), runtime.Size())
	}
	link, err := os.Readlink(exe)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link, "/memfd:") {
		t.Errorf("%s leads to %s, not to a memfd", exe, link)
	}
	// Root may open even a running program's file for writing once it has ended; a sealed memfd never.
	if f, err := os.OpenFile(exe, os.O_WRONLY, 0); err == nil {
		if _, err := f.Write([]byte{0}); err == nil {
			t.Errorf("%s can be written", exe)
		}
		f.Close()
	}
}

// No descriptor of a created container's process leads to the host: not to the runtime, not to a folder or file on
// one of the host's mounts. The standard streams are the caller's.
func TestCreatedDescriptors(t *testing.T) {
	t.Parallel()
	berthOnly(t, "what the process that waits for start keeps open")
	c := newContainer(t)
	c.create().ok(t)
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	onHost := map[string]string{}
	for _, m := range parseMountinfo(string(text)) {
		onHost[itoa(m.id)] = m.target
	}
	process := "/proc/" + itoa(c.state().Pid)
	entries, err := os.ReadDir(process + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(process, "fd", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind, err := os.Stat(filepath.Join(process, "fd", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if kind.Mode().Type() == os.ModeNamedPipe {
			continue // that it waits on: nothing can be reached through it
		}
		info, err := os.ReadFile(filepath.Join(process, "fdinfo", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		point, ok := onHost[statusField(t, string(info), "mnt_id")]
		if ok && e.Name() > "2" {
			t.Errorf("descriptor %s is %s on the host's mount %s", e.Name(), link, point)
		}
	}
	want(t, "descriptors are there to be looked at", len(entries) > 3, true)
}

// The executor is a small static program without symbols.
func TestExecutorIsSmallAndStatic(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the executor")
	c := newContainer(t)
	c.create().ok(t)
	exe := fmt.Sprintf("/proc/%d/exe", c.state().Pid)
	info, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 100_000 {
		t.Errorf("the executor has %d bytes, want less than 100,000", info.Size())
	}
	program, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the executor has a program header %v: it is not static", p.Type)
		}
		if p.Type == elf.PT_GNU_STACK && p.Flags&elf.PF_X != 0 {
			t.Error("the executor's stack is executable")
		}
	}
	if program.Section(".symtab") != nil {
		t.Error("the executor has symbols: it is not stripped")
	}
}

// What waits between create and start takes less than 1 MB of memory.
func TestCreatedMemory(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the bound on the memory of a created container's process")
	c := newContainer(t)
	c.create().ok(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.state().Pid))
	if err != nil {
		t.Fatal(err)
	}
	rss, err := strconv.Atoi(strings.TrimSuffix(statusField(t, string(status), "VmRSS"), " kB"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("VmRSS %d kB", rss)
	if rss <= 0 || rss >= 1024 {
		t.Errorf("VmRSS of the created container's process is %d kB, want less than 1024", rss)
	}
	threads := statusField(t, string(status), "Threads")
	want(t, "threads", threads, "1")
}

// The program in the container is started without descriptors of the runtime's: 0, 1, 2, and the one that lists.
func TestDescriptorsInside(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("/bin/ls", "/proc/self/fd"))
	want(t, "descriptors", strings.Join(strings.Fields(c.run().ok(t).stdout), " "), "0 1 2 3")
	want(t, "descriptors detached", strings.Join(strings.Fields(startedOutput(c)), " "), "0 1 2 3")
}

// startedOutput creates and starts the container, waits for its end, and gives what it printed.
func startedOutput(c *container) string {
	c.t.Helper()
	c.create().ok(c.t)
	pid := c.state().Pid
	c.start().ok(c.t)
	orphanExit(c.t, pid)
	return c.output()
}

// --preserve-fds N hands descriptors 3 to 2+N on, and no other.
func TestPreserveFds(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("cat <&3; cat <&4; ls /proc/self/fd"))
	files := make([]*os.File, 3)
	for i := range files {
		files[i] = memoryFile(t, "extra")
		fmt.Fprintf(files[i], "file %d\n", 3+i)
		if _, err := files[i].Seek(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	r := call{extraFiles: files}.run(t, c.args(c.command("run", []string{"--preserve-fds", "2"})...)...).ok(t)
	want(t, "output", strings.Join(strings.Fields(r.stdout), " "), "file 3 file 4 0 1 2 3 4 5")
	// ls itself has 5 open; the third file would have been 5, and ls's own 6.

	if isBerth() {
		r := c.run("--preserve-fds", "2").exits(t, 1)
		wantContains(t, "error for descriptors that are not open", r.stderr, "preserve-fds", "3")
	}
}
