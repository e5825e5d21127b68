package compile

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
)

// scheduled compiles an exec with what change sets, and returns the lines that
// scheduling has added, or the error.
func scheduled(change func(*ExecInput)) (string, error) {
	in := execInput()
	in.Host.Kernel = facts.Kernel{Major: 6, Minor: 12}
	change(&in)
	out, err := Exec(in)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(lines(&out.Plan)) {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "affinity", "scheduler", "ioprio", "mempolicy", "personality":
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

func TestScheduling(t *testing.T) {
	policy := func(m specs.LinuxMemoryPolicy) func(*ExecInput) {
		return func(in *ExecInput) {
			in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0"}
			in.Spec.Linux.MemoryPolicy = &m
		}
	}
	for _, c := range []struct {
		change func(*ExecInput)
		want   string // lines, or a part of the error
	}{
		{func(*ExecInput) {}, "affinity\n"},
		{func(in *ExecInput) { in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1,64"} },
			"affinity cpus=[2 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0]\n"},
		{func(in *ExecInput) { in.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "x"} }, `process.execCPUAffinity.final: "x" is no number`},
		{func(in *ExecInput) {
			in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0"}
			in.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Nice: -1, Runtime: 5, Deadline: 6, Period: 7,
				Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim, specs.SchedFlagDLOverrun}}
			in.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 7}
			in.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		}, "personality persona=8\nioprio priority=24583\nscheduler policy=6 flags=6 nice=4294967295 runtime=5 deadline=6 period=7\n"},
		{policy(specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-1", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}),
			"mempolicy mode=32771 nodes=[3 0 0 0 0 0 0 0]\n"},
		{policy(specs.LinuxMemoryPolicy{Mode: specs.MpolLocal, Flags: []specs.MemoryPolicyFlagType{specs.MpolFNumaBalancing}}), "mempolicy mode=8196\n"},
		{policy(specs.LinuxMemoryPolicy{Mode: "MPOL_X"}), `linux.memoryPolicy: "MPOL_X" is no mode`},
		{func(in *ExecInput) {
			in.Host.Kernel.Minor = 8
			policy(specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave, Nodes: "0"})(in)
		}, "linux.memoryPolicy: MPOL_WEIGHTED_INTERLEAVE needs Linux 6.9, this is 6.8"},
		{func(in *ExecInput) { in.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_X"} }, `process.scheduler: "SCHED_X" is no scheduling policy`},
		{func(in *ExecInput) { in.Process.IOPriority = &specs.LinuxIOPriority{Class: "x"} }, "process.ioPriority: "},
		{func(in *ExecInput) { in.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: "X"} }, `linux.personality: "X" is no execution domain`},
	} {
		got, err := scheduled(c.change)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
			continue
		}
		if got != c.want {
			t.Errorf("got\n%swant\n%s", got, c.want)
		}
	}
}

// Limits come behind all that they could break, and before a filter that could
// forbid to set them.
func TestRlimitsComeLast(t *testing.T) {
	for _, nnp := range []bool{true, false} {
		in := execInput()
		in.Process.NoNewPrivileges = nnp
		in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}}
		out, err := Exec(in)
		if err != nil {
			t.Fatal(err)
		}
		const limit = "rlimit resource=7 soft=3 hard=3\nseccomp program=seccomp"
		text := lines(&out.Plan)
		if strings.Count(text, "rlimit") != 1 {
			t.Errorf("not one rlimit in\n%s", text)
		}
		if nnp {
			inOrder(t, text, "open_file", "setids", "sync point=created send=passwd into=seccomp", limit, "execve")
		} else {
			inOrder(t, text, "open_file", "setids", "sync point=seccomp into=seccomp", limit, "sync point=created", "execve")
		}
	}
}

func TestInitialAffinity(t *testing.T) {
	for list, want := range map[string]string{"": "[]", "0,65": "[1 2]", "2-1": "process.execCPUAffinity.initial: "} {
		mask, err := InitialAffinity(&specs.Process{ExecCPUAffinity: &specs.CPUAffinity{Initial: list}})
		got := fmt.Sprint(mask)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", list, got, want)
		}
	}
}
