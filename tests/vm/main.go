// Command vm boots the project's test machines under QEMU's emulation and runs the suite in them. tests/vm/run
// builds and starts it; docs/testing-vm.md is its guide.
//
// A machine is a Debian root disk (made once, see image.go), a kernel command line and a list of jobs (see
// machines.go). What the jobs need, and what they answer, travels on a second disk, since Debian's cloud kernels
// know no file system shared with the host. A test that is skipped counts as failed, unless tests/vm/skips allows it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	runtime  string
	cache    string
	testRun  string
	deadline time.Duration
	parallel int
	patience int
	memory   int // MiB
	json     bool
	list     bool
	all      bool
	shell    bool
	patterns []string
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeout(ctx, o.deadline*time.Duration(o.patience))
	ok, err := run(ctx, o)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("tests/vm/run", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), `usage: tests/vm/run [flags] [MACHINE | MACHINE/JOB ...]

Boots test machines and runs the suite in them; all of them, or those named (with * and ?). See -list.

`)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.runtime, "runtime", os.Getenv("OCI_RUNTIME"), "the `runtime` under test: a path here, or a name to be found in the machine (runc, crun);\ndefault: $OCI_RUNTIME, else bin/berth")
	flags.StringVar(&o.cache, "cache", defaultCache(), "`folder` that keeps the machines' disks")
	flags.StringVar(&o.testRun, "run", "", "run only the tests that match the `regexp`, as go test has it")
	flags.DurationVar(&o.deadline, "deadline", 40*time.Minute, "end everything after this time")
	flags.IntVar(&o.parallel, "parallel", 2, "`machines` that run at once")
	flags.IntVar(&o.patience, "patience", 1, "on a busy machine: give each job `N` times its time, and all the -deadline N times over")
	flags.IntVar(&o.memory, "memory", 3072, "memory of a machine in `MiB`")
	flags.BoolVar(&o.json, "json", false, "write the results to standard output as go test -json does, all else to standard error")
	flags.BoolVar(&o.all, "all", false, "run also the jobs that -list marks, for which make test has no time")
	flags.BoolVar(&o.list, "list", false, "list machines and jobs")
	flags.BoolVar(&o.shell, "shell", false, "boot the one machine named and give a root shell on its console, with everything\nthat the jobs need in /run/berth-vm")
	err := flags.Parse(args)
	o.patterns = flags.Args()
	if err == nil && o.patience < 1 {
		err = fmt.Errorf("-patience %d: it is a number from 1 on", o.patience)
		fmt.Fprintln(flags.Output(), err)
	}
	if o.runtime == "" {
		o.runtime = "bin/berth"
	}
	return o, err
}

func defaultCache() string {
	if folder := os.Getenv("BERTH_VM_CACHE"); folder != "" {
		return folder
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "build/vm/cache" // no home: beside everything else that is built
	}
	return filepath.Join(folder, "berth-vm")
}

// run does everything and reports whether each job succeeded.
func run(ctx context.Context, o options) (bool, error) {
	every := machines()
	if !o.all && !o.list && !slices.ContainsFunc(o.patterns, func(p string) bool { return strings.Contains(p, "/") }) {
		every = usual(every)
	}
	selected, err := selectJobs(every, o.patterns)
	if err != nil {
		return false, err
	}
	for _, m := range selected {
		for i := range m.jobs {
			m.jobs[i].deadline *= time.Duration(o.patience)
		}
	}
	if o.list {
		list(os.Stdout, selected)
		return true, nil
	}
	if runtime.GOARCH != "amd64" {
		return false, fmt.Errorf("the test machines are of amd64; this one is of %s", runtime.GOARCH)
	}
	if o.shell && len(selected) != 1 {
		return false, fmt.Errorf("-shell boots one machine: name it (see -list)")
	}
	allowed, err := readSkips("tests/vm/skips")
	if err != nil {
		return false, err
	}
	allowed.reference = filepath.Base(o.runtime) != "berth"
	work, err := os.MkdirTemp("", "berth-vm-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)

	h := &harness{options: o, work: work, started: time.Now(), images: map[string]*sync.Mutex{}, progress: os.Stderr}
	for _, m := range selected {
		h.images[m.image.suite] = &sync.Mutex{}
	}
	if err := h.phase("compile the tests", func() error { return h.compile(ctx, selected) }); err != nil {
		return false, err
	}
	if h.emulator, err = h.ensureEmulator(ctx); err != nil {
		return false, err
	}
	if o.shell {
		return true, h.shell(ctx, selected[0])
	}
	outcomes := h.runMachines(ctx, selected, allowed)
	return h.report(outcomes, allowed, o.all && len(o.patterns) == 0 && o.testRun == ""), nil
}

// harness is one run of the command.
type harness struct {
	options
	work     string // folder for everything temporary
	started  time.Time
	progress io.Writer
	images   map[string]*sync.Mutex // so that machines with one image build it once
	emulator string                 // the program that runs the machines

	mutex  sync.Mutex // guards what follows, and progress
	phases []phase
}

// phase is a part of the run and the time that it took.
type phase struct {
	name      string
	took      time.Duration
	processor time.Duration // of QEMU; the same work takes about the same, whatever else this machine is doing
}

func (h *harness) phase(name string, do func() error) error {
	began := time.Now()
	err := do()
	h.note(phase{name: name, took: time.Since(began)})
	return err
}

func (h *harness) note(p phase) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.phases = append(h.phases, p)
}

// say writes a line of progress with the time since the start.
func (h *harness) say(format string, args ...any) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	fmt.Fprintf(h.progress, "%5.0fs  %s\n", time.Since(h.started).Seconds(), fmt.Sprintf(format, args...))
}

// runMachines boots all machines, a few at a time, and returns the outcomes of their jobs in the machines' order.
func (h *harness) runMachines(ctx context.Context, selected []machine, allowed *skipList) []outcome {
	results := make([][]outcome, len(selected))
	slots := make(chan struct{}, max(h.parallel, 1))
	var all sync.WaitGroup
	for i, m := range selected {
		slots <- struct{}{}
		all.Go(func() {
			results[i] = h.runMachine(ctx, m, allowed)
			<-slots
		})
	}
	all.Wait()
	var flat []outcome
	for _, r := range results {
		flat = append(flat, r...)
	}
	return flat
}

// runMachine boots one machine and judges what its jobs wrote. Each of its jobs has an outcome, also when the
// machine did not get that far.
func (h *harness) runMachine(ctx context.Context, m machine, allowed *skipList) []outcome {
	logs := filepath.Join("build/vm/failed", m.name)
	os.RemoveAll(logs)
	b, err := h.boot(ctx, m)
	var outcomes []outcome
	failed := err != nil
	for i, j := range m.jobs {
		name := m.name + "/" + j.name
		o := judgeJob(ctx, name, filepath.Join(b.results, jobFolder(i, j)), allowed)
		if err != nil && o.unfinished {
			o.fail("job", err.Error())
		}
		failed = failed || len(o.failed) > 0
		h.say("%s: %s", name, o.figures())
		outcomes = append(outcomes, o)
	}
	if failed && b.folder != "" {
		if err := b.keep(logs); err != nil {
			h.say("%s: the logs are lost: %v", m.name, err)
		} else {
			h.say("%s: serial log and outputs are in %s", m.name, logs)
		}
	}
	if b.folder != "" {
		os.RemoveAll(b.folder)
	}
	return outcomes
}
