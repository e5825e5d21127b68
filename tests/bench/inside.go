package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// look is a shell script that prints a container as its process sees it, in sections.
const look = `
section() { echo "== $1"; }
section mounts; cat /proc/self/mountinfo
section status; cat /proc/self/status
section limits; cat /proc/self/limits
section cgroup; cat /proc/self/cgroup
section devices; stat -c '%A %u %g %t:%T %N' /dev /dev/*
section network; cat /proc/net/dev
section hostname; cat /proc/sys/kernel/hostname
section session; cat /proc/self/sessionid /proc/self/oom_score_adj
section environment; export -p
`

// looking makes the process print the container as it sees it.
func looking(c config) { c.section("process")["args"] = []string{"/bin/sh", "-c", look} }

// sameInside fails when the floor's container does not look as berth's from inside: then the floor leaves something
// out, or does too much, and its time says nothing.
func (b *bench) sameInside(workload string, changes []change) error {
	bundle, err := b.bundle(workload, append(slices.Clone(changes), looking)...)
	if err != nil {
		return err
	}
	floor, err := b.floor(bundle)
	if err != nil {
		return err
	}
	berth := b.contestants[0]
	// The floor's id is in its plan; with the same one the cgroups have the same names.
	ours, err := b.output(berth.command("run", "--bundle", bundle, b.floorID())...)
	if err != nil {
		b.discard(berth, berth.root, b.floorID())
		return fmt.Errorf("look into berth's container: %w", err)
	}
	theirs, err := b.output(floor)
	if err != nil {
		return fmt.Errorf("look into the floor's container: %w", err)
	}
	if d := firstDifference(normalize(ours), normalize(theirs)); d != "" {
		return fmt.Errorf("the floor's container differs from berth's: %s", d)
	}
	return nil
}

// output is what a command prints.
func (b *bench) output(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = b.watch.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", argv[0], err, stderr.String())
	}
	return stdout.String(), nil
}

// normalize turns what look printed into lines that are the same for the same container: numbers that the kernel gives
// out in order are left out, and what has no order is sorted.
func normalize(text string) []string {
	var lines, sorted []string
	section := ""
	flush := func() {
		slices.Sort(sorted)
		lines = append(lines, sorted...)
		sorted = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "== "); ok {
			flush()
			section = name
			continue
		}
		if line = normalizeLine(section, line); line != "" {
			sorted = append(sorted, section+": "+line)
		}
	}
	flush()
	return lines
}

// normalizeLine returns what has to be the same of a line; "" for nothing.
func normalizeLine(section, line string) string {
	fields := strings.Fields(line)
	switch section {
	case "mounts":
		// Ids of the mount and its parent, and the device's number; proc_pid_mountinfo(5).
		if len(fields) > 3 {
			return strings.Join(fields[3:], " ")
		}
	case "status":
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters":
			return strings.Join(fields, " ")
		}
		return ""
	case "network":
		return fields[0]
	}
	return line
}

// firstDifference shows the first line that only one of two sorted reports has.
func firstDifference(a, b []string) string {
	for _, line := range a {
		if !slices.Contains(b, line) {
			return fmt.Sprintf("only berth has %q", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			return fmt.Sprintf("only the floor has %q", line)
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("berth's shows %d lines, the floor's %d", len(a), len(b))
	}
	return ""
}
