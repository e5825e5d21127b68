package cgroups

import "strings"

// Write is one value for one control file of the container's cgroup.
type Write struct {
	// Controller whose folder has the file; "" for a core file of v2 (cgroup.*).
	Controller string
	// Unified says that the file is in the v2 hierarchy.
	Unified bool
	File    string
	Value   string
	// Origin is the place in the configuration that asked for it, such as
	// linux.resources.pids.limit.
	Origin string
	// Else is what to write where the kernel does not have File. Which of two
	// files a kernel has is seen only in a cgroup that is not the root, so it
	// cannot be known before.
	Else Alternative
	// Optional writes are passed over where the kernel has neither file: the
	// value says "no limit", which is what such a kernel gives.
	Optional bool
	// Group is the same non-zero number in writes that stand together and whose
	// order depends on the cgroup's present values (memory.limit_in_bytes must
	// never be above memory.memsw.limit_in_bytes, for one): what the kernel
	// refuses as invalid is tried again after the others.
	Group uint8
	// NotBelow names a file with the present usage; the write is refused when
	// Value is lower (memory.checkBeforeUpdate).
	NotBelow string
}

// Alternative is a file and value in place of a Write's; the zero value is none.
type Alternative struct{ File, Value string }

// Groups of writes whose order the kernel decides.
const (
	groupMemory uint8 = iota + 1
	groupCPU
	groupRealtime
)

// String shows the write as `berth plan` prints it.
func (w Write) String() string {
	var b strings.Builder
	b.WriteString(w.File)
	b.WriteString(" = ")
	b.WriteString(w.Value)
	if w.Else.File != "" {
		b.WriteString(", or ")
		b.WriteString(w.Else.File)
		b.WriteString(" = ")
		b.WriteString(w.Else.Value)
	}
	if w.Optional {
		b.WriteString(" (where the kernel has it)")
	}
	return b.String()
}

// Needed lists the v2 controllers that the writes need enabled, each once. An
// optional write needs none: it asks for what is so without the controller.
func Needed(writes []Write) []string {
	var names []string
	for i := range writes {
		if w := &writes[i]; w.Unified && !w.Optional && w.Controller != "" && !has(names, w.Controller) {
			names = append(names, w.Controller)
		}
	}
	return names
}

// Problem is a limit that cannot be honoured, or makes no sense.
type Problem struct {
	// Origin is the field, such as linux.resources.memory.swap.
	Origin string
	// Cause says why, and what to do.
	Cause string
}

// Error gives the field and the cause.
func (p Problem) Error() string { return p.Origin + ": " + p.Cause }
