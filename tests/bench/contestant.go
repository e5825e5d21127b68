package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// contestant is a runtime under test, called as runc is.
type contestant struct {
	name    string
	source  string // its program
	path    string // the copy of it that is measured; see copyPrograms
	version string
	root    string // where it keeps its state
}

// command is the contestant's command line.
func (c *contestant) command(args ...string) []string { return c.commandAt(c.root, args...) }

// commandAt is its command line with another place for its state.
func (c *contestant) commandAt(root string, args ...string) []string {
	return append([]string{c.path, "--root", root}, args...)
}

// findContestants finds berth, which must be there, and its rivals: Debian's crun and runc where they are installed,
// and peers, a list of NAME=PATH or PATH. What is missing is told.
func findContestants(berth, peers string) (list []*contestant, missing []string, err error) {
	c, err := newContestant("berth", berth)
	if err != nil {
		return nil, nil, fmt.Errorf("berth: %w: build it with make", err)
	}
	list = append(list, c)
	for _, name := range []string{"crun", "runc"} {
		if c, err := newContestant(name, name); err == nil {
			list = append(list, c)
		} else {
			missing = append(missing, fmt.Sprintf("%s: %v", name, err))
		}
	}
	for _, peer := range strings.Fields(strings.ReplaceAll(peers, ",", " ")) {
		name, path, ok := strings.Cut(peer, "=")
		if !ok {
			name, path = filepath.Base(peer), peer
		}
		for _, c := range list {
			if c.name == name {
				return nil, nil, fmt.Errorf("PEERS: %s is there already: give it another name, NAME=PATH", name)
			}
		}
		c, err := newContestant(name, path)
		if err != nil {
			return nil, nil, fmt.Errorf("PEERS: %w", err)
		}
		list = append(list, c)
	}
	return list, missing, nil
}

func newContestant(name, path string) (*contestant, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, err
	}
	// The measured commands run elsewhere; a link that changes meanwhile must not matter.
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", path, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	_, version, _ := strings.Cut(first, " version ")
	if version == "" {
		return nil, errors.New(path + " --version does not say `NAME version X`")
	}
	return &contestant{name: name, source: path, path: path, version: version}, nil
}

// fullVersion is the version with the commit of a berth that was built from a checkout: figures belong to a commit.
func (c *contestant) fullVersion() string {
	out, err := exec.Command(c.path, "--version").Output()
	if err != nil {
		return c.version
	}
	for line := range strings.Lines(string(out)) {
		if commit, ok := strings.CutPrefix(strings.TrimSpace(line), "commit: "); ok {
			return c.version + " (" + commit[:min(len(commit), 12)] + ")"
		}
	}
	return c.version
}

// freshRoot makes an empty folder for state, as on a machine that has just booted.
func (c *contestant) freshRoot() (string, error) {
	if err := os.MkdirAll(filepath.Dir(c.root), 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(filepath.Dir(c.root), c.name+"-fresh-")
}
