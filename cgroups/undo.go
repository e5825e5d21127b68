package cgroups

import (
	"bytes"
	"strings"
)

// Undo says what to write to file so that it has again what it had before value
// was written, given its content from then. File is that of a Write, or its
// Else's.
//
// Most files take back what they show. Not so those that have a line for each
// device or interface, of which value changed one, and memory.oom_control.
func Undo(file, value string, before []byte) string {
	old := strings.TrimRight(string(before), "\n")
	if file == "memory.oom_control" {
		if Flag(before, "oom_kill_disable") {
			return "1"
		}
		return "0"
	}
	if file == "cgroup.subtree_control" {
		return flipBack(value, strings.Fields(old))
	}
	key, rest, keyed := strings.Cut(value, " ")
	if !keyed || file == "cpu.max" {
		switch {
		case isWeight(file):
			return defaultWeight(old)
		case old == "":
			// An empty write never reaches the kernel; a blank line empties
			// cpuset.cpus.
			return "\n"
		}
		return old
	}
	for line := range strings.Lines(old) {
		line = strings.TrimRight(line, "\n")
		if name, _, _ := strings.Cut(line, " "); name == key && line != "" {
			return line
		}
	}
	return key + " " + noLimit(file, rest)
}

func isWeight(file string) bool {
	return file == "io.weight" || file == "io.bfq.weight" || file == "blkio.bfq.weight" || file == "blkio.weight"
}

// defaultWeight finds the cgroup's own weight among those of devices.
func defaultWeight(old string) string {
	for line := range strings.Lines(old) {
		line = strings.TrimRight(line, "\n")
		if n, ok := strings.CutPrefix(line, "default "); ok && n != "" {
			return n
		}
		if _, ok := Number([]byte(line)); ok {
			return line
		}
	}
	return "default"
}

// flipBack undoes "+cpu -memory" where it changed what was on.
func flipBack(value string, on []string) string {
	words := strings.Fields(value)
	for i, word := range words {
		name := strings.TrimLeft(word, "+-")
		words[i] = "-" + name
		if has(on, name) {
			words[i] = "+" + name
		}
	}
	return strings.Join(words, " ")
}

// noLimit is what takes a device's or interface's line out of the file.
func noLimit(file, rest string) string {
	switch {
	case strings.Contains(rest, "="):
		words := strings.Fields(rest)
		for i, word := range words {
			key, _, _ := strings.Cut(word, "=")
			words[i] = key + "=max"
		}
		return strings.Join(words, " ")
	case file == "blkio.weight_device":
		return "0"
	case isWeight(strings.TrimSuffix(file, "_device")):
		return "default"
	case strings.HasSuffix(file, ".max"):
		return "max"
	}
	return "0"
}

// Below tells whether a limit is lower than the usage a file shows; a limit of
// "max" or in a form unknown is not.
func Below(limit string, usage []byte) bool {
	l, ok := Number([]byte(limit))
	if !ok {
		return false
	}
	u, ok := Number(bytes.TrimSpace(usage))
	return ok && l < u
}
