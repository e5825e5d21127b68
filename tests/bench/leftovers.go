package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leftovers finds what measured commands have left behind, removes it and returns what it was: processes that became
// this process's descendants, and cgroups whose names begin with the run's token. Mounts and files need no look: they went with the
// mount namespace of the process that measured.
func leftovers(token string) []string {
	var left []string
	for _, p := range descendants() {
		if p.state != 'Z' {
			left = append(left, fmt.Sprintf("process %d (%s)", p.pid, p.name))
		}
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); errors.Is(err, unix.ECHILD) {
			break
		}
	}
	hierarchies, err := mountedHierarchies()
	if err != nil {
		return append(left, err.Error())
	}
	for _, path := range cgroupsNamed(token, hierarchies) {
		left = append(left, "cgroup "+path)
		if err := unix.Rmdir(path); err != nil {
			left = append(left, fmt.Sprintf("and cannot be removed: %v", err))
		}
	}
	return left
}

// process is an entry of /proc.
type process struct {
	pid, parent int
	state       byte
	name        string
}

// descendants lists the processes below this one, children before their children.
func descendants() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(pid, string(text)); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var list []process
	for next := children[os.Getpid()]; len(next) > 0; next = next[1:] {
		list = append(list, next[0])
		next = append(next, children[next[0].pid]...)
	}
	return list
}

// parseStat reads proc_pid_stat(5); the name in it may hold anything, parentheses too.
func parseStat(pid int, text string) (process, bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 2 {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	return process{pid: pid, parent: parent, state: fields[0][0], name: text[open+1 : end]}, err == nil
}
