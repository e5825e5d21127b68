package conformance

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// exception is a program that cannot pass, though the runtime does what the runtime-spec says.
type exception struct {
	// fails is all that goes wrong with the program, each as a part of its line; nothing else may.
	fails []string
	// says is what berth logged.
	says string
	// where is the kind of machine on which this holds; elsewhere the program must pass.
	where condition
	// spec holds the sentences of the runtime-spec that show the program to be wrong.
	spec []quote
	// why puts them beside what the program does.
	why string
	// races tells that the outcome depends on which of two processes is faster: the program may pass as well.
	races bool
	// runc is what Debian 12's runc (1.1.5) does.
	runc verdict
}

// quote is a sentence of a file of the runtime-spec, without markup.
type quote struct{ file, sentence string }

type verdict string

const (
	fails verdict = "fails too"
	races verdict = "races too (not run)"
	// mountsOnHost is a pass that is not checked.
	mountsOnHost verdict = "passes, and mounts on the host (not run)"
)

// condition is the kind of machine on which an exception holds.
type condition string

const (
	everywhere    condition = "everywhere"
	hugetlbV2     condition = "hugetlb is a controller of cgroup v2"
	noNetCls      condition = "there is no net_cls in cgroup v1"
	noSysResource condition = "root has no CAP_SYS_RESOURCE"
)

// holds says whether this is such a machine.
func (c condition) holds() bool {
	switch c {
	case hugetlbV2:
		return !v1Has("hugetlb")
	case noNetCls:
		return !v1Has("net_cls")
	case noSysResource:
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
		return err == nil && has == 0
	case everywhere:
	}
	return true
}

// v1Has says whether a hierarchy of cgroup v1 with the controller is mounted.
func v1Has(controller string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		_, tail, _ := strings.Cut(line, " - cgroup ")
		if f := strings.Fields(tail); len(f) == 2 && slices.Contains(strings.Split(f[1], ","), controller) {
			return true
		}
	}
	return false
}

// exceptionHere finds a program in the list, if what it says holds on this machine.
func exceptionHere(program string) (exception, bool) {
	e, ok := exceptions()[program]
	return e, ok && e.where.holds()
}

func unsupported() []quote {
	return []quote{
		{"config.md", "Runtimes MUST generate an error when invalid or unsupported values are encountered."},
		{"config.md", "Unless support for a valid value is explicitly required, runtimes MAY choose which subset of the valid values it will support."},
	}
}

func exceptions() map[string]exception {
	capabilities := []quote{{"config.md", "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted otherwise MUST be logged as a warning by the runtime."}}
	leafWeight := exception{
		fails: []string{"exit"}, says: "leaf weights were the CFQ scheduler's", where: everywhere,
		spec: append(unsupported(), quote{"config-linux.md", "bandwidth weight for the device while competing with the cgroup's child cgroups, CFQ scheduler only"}),
		why:  "it asks for a leaf weight; the CFQ scheduler left with Linux 5.0",
		runc: fails,
	}
	hugetlb := exception{
		fails: []string{"exit code 1"}, where: hugetlbV2,
		spec: []quote{{"config-linux.md", "If a controller is enabled on the cgroup v2 hierarchy but the configuration is provided for the cgroup v1 equivalent controller, the runtime MAY attempt a conversion."}},
		why:  "it looks for the limit in cgroup v1 only; berth has set it in v2",
		runc: fails,
	}
	kernelMemory := exception{
		fails: []string{"memory kernel is set correctly", "memory kernelTCP is set correctly"}, where: everywhere,
		spec: []quote{
			{"config-linux.md", "kernel (int64, OPTIONAL, NOT RECOMMENDED) - sets hard limit for kernel memory"},
			{"config-linux.md", "kernelTCP (int64, OPTIONAL, NOT RECOMMENDED) - sets hard limit for kernel TCP buffer memory"},
		},
		why:  "it takes both for granted; Linux ignores the first since 5.16, and berth and runc set neither",
		runc: fails,
	}
	network := exception{
		fails: []string{"exit"}, says: "no net_cls controller", where: noNetCls, spec: unsupported(),
		why:  "it takes the controller for granted",
		runc: fails,
	}
	relative := func(e exception, fails ...string) exception { e.fails = fails; return e }
	return map[string]exception{
		"delete": {
			fails: []string{"2 - attempting to `delete`", "3 - attempting to `delete`"}, where: everywhere,
			spec: []quote{{"runtime.md", "Note: these operations are not specifying any command-line APIs, and the parameters are inputs for general operations."}},
			why: "it wants the command to refuse a container that is created; the command is the operations kill and delete there, " +
				"as engines need it when a start has failed (a running container is refused)",
			runc: fails,
		},
		"hooks": {
			fails: []string{"Hooks MUST be called in the listed order"}, where: everywhere,
			spec: []quote{{"config.md", "Hooks MUST be called in the listed order."}},
			why:  "it compares with a text that its own hooks never write (post-start1 for \"post-start1 called\"), in a file that it has removed before",
			runc: fails,
		},
		"hooks_stdin": {
			fails: []string{`passed to "prestart" hook over stdin`}, where: everywhere,
			spec: []quote{
				{"config.md", "The prestart hooks MUST be called as part of the create operation after the runtime environment has been created"},
				{"runtime.md", "created: the runtime has finished the create operation (after step 2 in the lifecycle)"},
			},
			why:  "it wants the status created in a prestart hook; the create operation has not finished, so the status is creating",
			runc: fails,
		},
		"linux_cgroups_blkio":            relative(leafWeight, "exit code 1", "no test was printed"),
		"linux_cgroups_relative_blkio":   relative(leafWeight, "exit status 1"),
		"linux_cgroups_hugetlb":          relative(hugetlb, "exit code 1", "no test was printed"),
		"linux_cgroups_relative_hugetlb": relative(hugetlb, "get hugetlb cgroup data"),
		"linux_cgroups_memory":           kernelMemory,
		"linux_cgroups_relative_memory":  kernelMemory,
		"linux_cgroups_network":          relative(network, "exit code 1", "no test was printed"),
		"linux_cgroups_relative_network": relative(network, "exit status 1"),
		"linux_ns_itype": {
			fails: []string{"exit status 1"}, says: "would be made on the host", where: everywhere, spec: unsupported(),
			why: "its config has mounts and no mount namespace, so they would be made on the host, and stay; " +
				"berth refuses that, and inherits each namespace of a config without mounts",
			runc: mountsOnHost,
		},
		"linux_process_apparmor_profile": {
			fails: []string{"exit code 1", "no test was printed"}, says: "acme_secure_profile", where: everywhere, spec: unsupported(),
			why:  "it asks for a profile that nobody has loaded",
			runc: fails,
		},
		"misc_props": {
			fails: []string{"1 - implementations that are reading"}, says: "/runtimetest: no such file or directory", where: everywhere,
			spec: []quote{{"config.md", "at least one entry is REQUIRED (non-Windows), and that entry is used with the same semantics as execvp's file."}},
			why:  "its first config runs /runtimetest, which it has not put into the rootfs",
			runc: fails,
		},
		"pidfile": {
			fails: []string{"create with '--pid-file' option works"}, says: "it is stopped", where: everywhere,
			spec:  []quote{{"runtime.md", "Attempting to send a signal to a container that is neither created nor running MUST have no effect on the container and MUST generate an error."}},
			why:   "it runs true, waits for it to be running, and wants kill to succeed; true has ended, unless the first look finds it running",
			races: true, runc: races,
		},
		"poststart": {
			// Having failed, it kills the container before it deletes it, as these programs do.
			fails: []string{"The post-start hooks MUST be called after the user-specified process is executed", "the runtime was called to"}, where: everywhere,
			spec: []quote{{"config.md", "The poststart hooks MUST be called after the user-specified process is executed but before the start operation returns."}},
			why: "it wants the process to have written to a file before the hook writes to it; " +
				"the process has been executed then, and may be the slower of the two",
			races: true, runc: races,
		},
		"poststart_fail": {
			fails: []string{"if any poststart hook fails", "the runtime was called to"}, says: "hooks.poststart[0]", where: everywhere,
			spec: []quote{{"runtime.md", "If any poststart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12."}},
			why:  "it wants a warning, as earlier versions of the runtime-spec did",
			runc: fails,
		},
		"prestart": {
			fails: []string{"Pre-start hooks MUST be called after", "the runtime was called to"}, where: everywhere,
			spec: []quote{{"config.md", "The prestart hooks MUST be called as part of the create operation after the runtime environment has been created"}},
			why:  "it wants them to be called by start",
			runc: fails,
		},
		"process_capabilities": {
			fails: []string{"capability CAP_SYS_RESOURCE set"}, says: "CAP_SYS_RESOURCE", where: noSysResource, spec: capabilities,
			why:  "it asks for a capability that cannot be granted here",
			runc: fails,
		},
		"process_capabilities_fail": {
			fails: []string{"exit code 1"}, says: "CAP_TEST", where: everywhere, spec: capabilities,
			why:  "it wants an error for a capability that does not exist, as earlier versions of the runtime-spec did",
			runc: fails,
		},
		"process_rlimits": {
			fails: []string{"has expected soft RLIMIT_NOFILE"}, where: everywhere,
			spec: []quote{{"config.md", "rlim.rlim_cur MUST match the configured value."}},
			why:  "it reads the limit in a Go program, whose start raises the soft limit of open files (since Go 1.19)",
			runc: fails,
		},
		"start": {
			fails: []string{"7 - exit status 1"}, says: "process: is missing", where: everywhere,
			spec: append(unsupported(), quote{"runtime.md", "This operation MUST generate an error if process was not set."}),
			why:  "it wants a start without process to succeed; berth refuses such a config at create",
			runc: fails,
		},
	}
}

// TestExceptions runs the programs of the list: each fails, in the way that is written there and in no other.
func TestExceptions(t *testing.T) {
	for _, name := range programs(t) {
		e, listed := exceptionHere(name)
		if !listed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			parallel(t, name)
			o := run(t, name, berth(t))
			failures := o.failures(name)
			if len(failures) == 0 && e.races {
				t.Log("it passes this time: the processes were lucky")
				return
			}
			if len(failures) == 0 {
				t.Fatal("it passes: take it out of the list")
			}
			for _, f := range failures {
				if !slices.ContainsFunc(e.fails, func(part string) bool { return strings.Contains(f, part) }) {
					t.Errorf("it fails otherwise than the list says: %s\n%s", f, o.output)
				}
			}
			for _, part := range e.fails {
				if !slices.ContainsFunc(failures, func(f string) bool { return strings.Contains(f, part) }) {
					t.Errorf("the list says that it fails with %q, and it fails with %q", part, failures)
				}
			}
			if !strings.Contains(o.log, e.says) {
				t.Errorf("berth did not say %q: %s", e.says, o.log)
			}
			t.Logf("fails as %s wants: %s", e.spec[0].file, e.why)
		})
	}
}

// TestExceptionsOfRunc runs Debian's runc where berth has an exception: what the list says of it holds.
func TestExceptionsOfRunc(t *testing.T) {
	all := programs(t)
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatalf("runc is missing: scripts/deps conformance installs it: %v", err)
	}
	t.Cleanup(func() { removeCgroups(t) })
	for _, name := range all {
		e, listed := exceptionHere(name)
		if !listed || e.runc != fails {
			continue
		}
		t.Run(name, func(t *testing.T) {
			parallel(t, name)
			o := run(t, name, runc)
			silent := silentPrograms()
			failed := len(o.failed) > 0 || o.code != 0 || o.ok == 0 && silent[name].calls == nil || len(o.errors) > 0 && o.ok == 0
			if !failed {
				t.Errorf("the list says that runc fails too, and it passes\n%s", o.output)
			}
		})
	}
}

// removeCgroups takes away the folder that runc makes around the cgroup which the programs ask for and leaves (berth
// does not), and the cgroup itself where it could not make it whole.
func removeCgroups(t *testing.T) {
	for _, name := range []string{"testdir/cgrouptest", "testdir"} {
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			left, err := filepath.Glob(pattern + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, folder := range left {
				// One hierarchy may have several names, which are links to it.
				if err := unix.Rmdir(folder); err != nil && !errors.Is(err, unix.ENOENT) {
					t.Errorf("rmdir %s: %v", folder, err)
				}
			}
		}
	}
}

// Each row names a program, and quotes sentences that stand in the runtime-spec whose version berth is built with.
func TestExceptionsAreTrue(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	spec, texts, names := strings.TrimSpace(string(out)), map[string]string{}, programs(t)
	for name, e := range exceptions() {
		if !slices.Contains(names, name) {
			t.Errorf("%s is no program", name)
		}
		if len(e.fails) == 0 || len(e.spec) == 0 || e.why == "" || e.where == "" || e.runc == "" {
			t.Errorf("%s: a field is missing", name)
		}
		for _, q := range e.spec {
			if texts[q.file] == "" {
				text, err := os.ReadFile(filepath.Join(spec, q.file))
				if err != nil {
					t.Fatal(err)
				}
				texts[q.file] = plain(string(text))
			}
			if !strings.Contains(texts[q.file], plain(q.sentence)) {
				t.Errorf("%s: %s of %s does not say %q", name, q.file, filepath.Base(spec), q.sentence)
			}
		}
	}
}

var (
	markdownLink = regexp.MustCompile(`\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])`)
	markup       = strings.NewReplacer("`", "", "*", "", "_", "_")
)

// plain takes the markup out of a text, and makes its white space uniform.
func plain(text string) string {
	return strings.Join(strings.Fields(markup.Replace(markdownLink.ReplaceAllString(text, "$1"))), " ")
}

var update = flag.Bool("update", false, "write the list into docs/conformance.md")

// The table of docs/conformance.md is this list.
func TestExceptionsInDocs(t *testing.T) {
	const file, mark = "../../docs/conformance.md", "<!-- the list -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("%s has no line %q", file, mark)
	}
	var b strings.Builder
	b.WriteString(head + mark + "\n| program | fails where | the runtime-spec says | and the program | runc 1.1.5 |\n|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(exceptions())) {
		e := exceptions()[name]
		sentences := make([]string, 0, len(e.spec))
		for _, q := range e.spec {
			sentences = append(sentences, fmt.Sprintf("%s: “%s”", q.file, q.sentence))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, e.where, strings.Join(sentences, " "), e.why, e.runc)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != b.String() {
		t.Errorf("%s is not what the list says: go test ./tests/conformance -run InDocs -update", file)
	}
}
