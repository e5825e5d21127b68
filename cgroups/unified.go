package cgroups

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// unified writes linux.resources.unified: files of the v2 hierarchy by name, in
// the order of their names, after all else, so that they have the last word.
//
// The kernel takes one line a write in its nested files (io.max), so a value
// with several lines becomes several writes.
func (c *collector) unified(files map[string]string) {
	for _, name := range sortedKeys(files) {
		field := "unified[" + name + "]"
		if cause := refuseUnified(name); cause != "" {
			c.problem(field, "%s", cause)
			continue
		}
		h := c.layout.Unified()
		if h == nil {
			c.problem(field, "unified is for cgroup v2, and this host has only v1: use the other fields of linux.resources")
			continue
		}
		controller, _, _ := strings.Cut(name, ".")
		if controller == "cgroup" {
			controller = ""
		} else if !h.Has(controller) {
			c.problem(field, "the v2 hierarchy at %s has no %s controller (it has: %s): enable it on the host, or remove the key",
				h.Mountpoint, controller, cmp.Or(strings.Join(h.Controllers, " "), "none"))
			continue
		}
		before := len(c.writes)
		for line := range strings.SplitSeq(files[name], "\n") {
			if line != "" {
				c.add(h, controller, field, name, line)
			}
		}
		if len(c.writes) == before {
			c.problem(field, "the value is empty: give what is to be written, or remove the key")
		}
	}
}

// refuseUnified says what is wrong with a key, "" when nothing is. Any limit may
// be set; processes are moved, frozen and killed by the runtime alone.
func refuseUnified(name string) string {
	switch name {
	case "cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type":
		return "this is not a limit: it moves, stops or kills processes, which is done by berth's commands"
	}
	if strings.Contains(name, "/") || !word(name) || strings.Contains(name, "..") {
		return "this is not the name of a cgroup file: give one such as memory.high, without a path"
	}
	if dot := strings.IndexByte(name, '.'); dot <= 0 || dot == len(name)-1 {
		return "the name of a cgroup file is CONTROLLER.NAME, such as memory.high"
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
