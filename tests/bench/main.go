// Command bench measures berth against other runtimes and against the floor, a C program that makes the same system
// calls and nothing else. docs/performance.md says how to read what it prints; `make bench` runs it.
//
// The bench is two kinds of processes. The first one, in this file, makes a folder, starts one of the second kind for
// each cgroup layout, collects their results, removes what measured commands left behind, and prints. The second kind
// (see bench.go) lives in a mount namespace of its own that shows the layout; the host's mounts are never touched.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	// The processes of the second kind die with the thread that started them.
	runtime.LockOSThread()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The numbers of a whole run, and of -quick, which only shows that everything works.
const (
	wholeRounds, wholeCrowd, wholeStarts = 50, 1000, 200
	quickRounds, quickCrowd, quickStarts = 10, 40, 20
)

// wholeApart is longer than the kernel takes for a grace period of RCU, some 10 to 20 ms. A command that waits for one
// (it moves a process between cgroups, or mounts cgroup v2 anew) leaves the kernel so that the next does not wait.
const wholeApart = 50 * time.Millisecond

func run(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var opt options
	flags.StringVar(&opt.berth, "berth", "bin/berth", "the berth to measure")
	flags.StringVar(&opt.peers, "peers", "", "more runtimes to compare with: NAME=PATH …")
	only := flags.String("only", "", "measure just these rows, commas between (see -rows)")
	layouts := flags.String("cgroups", "", "measure just in these cgroup layouts: hybrid, v1, v2, commas between")
	flags.IntVar(&opt.rounds, "pairs", 0, fmt.Sprintf("how often each contestant runs (default %d, with -quick %d)", wholeRounds, quickRounds))
	flags.IntVar(&opt.crowd, "crowd", 0, fmt.Sprintf("how many containers make a full machine (default %d, with -quick %d)", wholeCrowd, quickCrowd))
	flags.IntVar(&opt.starts, "starts", 0, fmt.Sprintf("how many containers the row throughput starts (default %d, with -quick %d)", wholeStarts, quickStarts))
	flags.DurationVar(&opt.apart, "apart", -1, fmt.Sprintf("wait this long before each command, so that none profits from the one before (default %v, with -quick not at all)", wholeApart))
	flags.StringVar(&opt.workloads, "workloads", "tests/workloads", "folder of the config.json files to measure")
	quick := flags.Bool("quick", false, "few rounds: shows that all works, the figures are noise")
	list := flags.Bool("rows", false, "list the rows and end")
	out := flags.String("out", "build/bench", "folder for results.json, table.md and chart.svg")
	docs := flags.String("docs", "", "write the figures of -out into performance.md and performance.svg of this folder and end")
	worker := flags.String("worker", "", "measure in this cgroup layout, for the bench itself")
	flags.StringVar(&opt.scratch, "scratch", "", "with -worker: folder to mount a tmpfs on")
	flags.StringVar(&opt.token, "token", "", "with -worker: what names begin with")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	opt.only, opt.layouts = words(*only), words(*layouts)
	opt.setNumbers(*quick)
	switch {
	case *list:
		return printRows(os.Stdout)
	case *docs != "":
		return intoDocs(*out, *docs)
	case *worker != "":
		return work(&opt, layout(*worker), asLayouts(opt.layouts), os.NewFile(3, "results"))
	}
	return measureAll(&opt, *out)
}

// setNumbers fills in what the command line left open.
func (o *options) setNumbers(quick bool) {
	defaults := [3]int{wholeRounds, wholeCrowd, wholeStarts}
	if quick {
		defaults = [3]int{quickRounds, quickCrowd, quickStarts}
	}
	for i, n := range []*int{&o.rounds, &o.crowd, &o.starts} {
		if *n <= 0 {
			*n = defaults[i]
		}
	}
	if o.apart < 0 {
		o.apart = wholeApart
		if quick {
			o.apart = 0
		}
	}
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func asLayouts(names []string) []layout {
	var list []layout
	for _, n := range names {
		list = append(list, layout(n))
	}
	return list
}

func printRows(w io.Writer) error {
	for _, r := range rows() {
		if _, err := fmt.Fprintf(w, "%-26s %s\n", r.name, strings.ReplaceAll(r.title, "%d", "N")); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what the command line got wrong, before anything is done.
func (o *options) check(host layout) error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: containers are started as an engine does")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(rows(), func(r row) bool { return r.name == name }) {
			return fmt.Errorf("-only: there is no row %q: see -rows", name)
		}
	}
	for _, name := range o.layouts {
		if !slices.Contains(layoutsOf(host), layout(name)) {
			return fmt.Errorf("-cgroups: %q cannot be had on a host with %s: it can show %v", name, host, layoutsOf(host))
		}
	}
	return nil
}

// measureAll measures in every layout and prints. It fails when the bench itself does, not when a bar is missed.
func measureAll(opt *options, out string) error {
	hierarchies, err := mountedHierarchies()
	if err != nil {
		return err
	}
	host, err := layoutOf(hierarchies)
	if err != nil {
		return err
	}
	if err := opt.check(host); err != nil {
		return err
	}
	if len(opt.layouts) == 0 {
		for _, l := range layoutsOf(host) {
			opt.layouts = append(opt.layouts, string(l))
		}
	}
	if opt.berth, err = filepath.Abs(opt.berth); err != nil {
		return err
	}
	contestants, missing, err := findContestants(opt.berth, opt.peers)
	if err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(os.Stderr, "bench: not compared with", m)
	}
	report := &Report{Machine: thisMachine(host), Rounds: opt.rounds}
	if opt.apart > 0 {
		report.Apart = opt.apart.String()
	}
	for _, c := range contestants {
		report.Runtimes = append(report.Runtimes, Runtime{c.name, c.fullVersion()})
	}
	if report.Machine.busy() {
		fmt.Fprintf(os.Stderr, "bench: the load is %.1f on %d processors: take the figures for noise\n", report.Machine.Load[0], report.Machine.Processors)
	}
	problems, err := opt.measureLayouts(report)
	report.Machine.Load[1] = load()
	if writeErr := writeReport(report, out); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	printReport(os.Stdout, report)
	fmt.Printf("written: %s\n", filepath.Join(out, "{results.json,table.md,chart.svg}"))
	for i := range report.Results {
		if r := &report.Results[i]; r.Failed != "" {
			problems = append(problems, fmt.Sprintf("%s (cgroup %s): %s", r.Row, r.Cgroups, r.Failed))
		}
	}
	if len(problems) > 0 {
		err = errors.Join(err, errors.New(strings.Join(problems, "\n")))
	}
	return err
}

// measureLayouts fills in the report. What measured commands left behind is returned: it must not be.
func (o *options) measureLayouts(report *Report) (left []string, err error) {
	if o.scratch, err = os.MkdirTemp("", "berth-bench-"); err != nil {
		return nil, err
	}
	defer os.Remove(o.scratch)
	if err := os.Mkdir(o.programs(), 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.programs())
	o.token = "bench" + strconv.Itoa(os.Getpid()) + "-"
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	// An interrupt ends the process that measures; this one then tidies up after it.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	for _, l := range o.layouts {
		err := o.measureLayout(layout(l), report, interrupted)
		found := leftovers(o.token)
		if err != nil {
			return left, err // what it was in the middle of is gone, and no fault of a runtime's
		}
		for _, f := range found {
			left = append(left, fmt.Sprintf("left behind in cgroup layout %s, and now removed: %s", l, f))
		}
	}
	return left, nil
}

// measureLayout starts this program once more, to measure in one layout, and collects its results.
func (o *options) measureLayout(at layout, report *Report, interrupted <-chan os.Signal) error {
	results, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer results.Close()
	cmd := exec.Command("/proc/self/exe", "-worker", string(at), "-cgroups", strings.Join(o.layouts, ","),
		"-berth", o.berth, "-peers", o.peers, "-only", strings.Join(o.only, ","), "-pairs", strconv.Itoa(o.rounds),
		"-crowd", strconv.Itoa(o.crowd), "-starts", strconv.Itoa(o.starts), "-workloads", o.workloads,
		"-apart", o.apart.String(), "-scratch", o.scratch, "-token", o.token)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	out.Close()
	if err != nil {
		return fmt.Errorf("start in a mount namespace of its own: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-interrupted:
			_ = cmd.Process.Kill()
		case <-ended:
		}
	}()
	for d := json.NewDecoder(results); ; {
		var r Result
		if err := d.Decode(&r); err != nil {
			break // its end, and how it ended comes now
		}
		report.Results = append(report.Results, r)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("measuring in cgroup layout %s ended early: %w", at, err)
	}
	return nil
}

// thisMachine describes where the figures come from.
func thisMachine(host layout) Machine {
	m := Machine{Cgroups: host, Processors: runtime.NumCPU(), Processor: "unknown", Date: time.Now().UTC().Format(time.DateOnly)}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.MemoryMB = int64(info.Totalram) * int64(info.Unit) >> 20
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.Processor = strings.TrimSpace(model)
			break
		}
	}
	m.Load[0] = load()
	return m
}

// load is the load average of the last minute; proc_loadavg(5).
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	l, _ := strconv.ParseFloat(first, 64)
	return l
}
