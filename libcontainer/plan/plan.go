// Package plan is the seam between Go and C: an ordered list of small
// operations, each with the place in config.json that asked for it.
//
// ops.go declares the operations; the encoding, the printing and the C header
// are generated from it. The package is pure: it does no I/O.
package plan

//go:generate go run ./gen

import (
	"fmt"
	"strconv"
)

// Slot names one of the executor's descriptors. The executor keeps them in a
// table of SlotCount entries, all closed on execve.
type Slot uint32

// The slots with a fixed meaning. Those from SlotFree on are the compiler's
// to give out.
const (
	SlotNone    Slot = iota // no descriptor
	SlotRoot                // the container's root folder
	SlotProc                // a procfs of the container's pid namespace
	SlotNull                // the host's /dev/null, of a mount that is still attached
	SlotMaskDir             // the tmpfs that masked folders share
	SlotPts                 // the container's devpts
	SlotMaster              // the pseudoterminal's master
	SlotSlave               // the pseudoterminal's slave
	SlotMount               // the mount at hand
	SlotPasswd              // /etc/passwd of the container
	SlotFifo                // what start writes to
	SlotReport              // what start reads from
	SlotSeccomp             // the seccomp program
	SlotListen              // the seccomp listener
	SlotPidfd               // the container's first process; pidfd_open(2)
	SlotCgroup              // the container's cgroup folders and tasks files, up to SlotCgroup+15
	SlotTrace   Slot = 39   // where the executor notes the time of each operation
	SlotFree    Slot = 40
	SlotCount   Slot = 512
)

// Point is where executor and parent meet.
type Point uint32

// The points, in the order in which they come. docs/architecture.md draws
// them; not every plan has all of them.
const (
	PointNone     Point = iota
	PointUserns         // the user namespace exists; the parent writes the id maps
	PointCgroup         // the parent hands over the cgroup's descriptors
	PointHooks          // mounts are done; prestart, createRuntime and createContainer hooks run
	PointSeccomp        // the parent hands over the compiled seccomp program
	PointConsole        // the pseudoterminal's master goes to the parent
	PointListener       // the seccomp listener goes to the parent
	PointCreated        // everything is done but execve; the parent writes the state
	pointCount
)

// String returns the point's name.
func (p Point) String() string {
	names := [...]string{"none", "userns", "cgroup", "hooks", "seccomp", "console", "listener", "created"}
	if int(p) < len(names) {
		return names[p]
	}
	return "point " + strconv.Itoa(int(p))
}

// Kind is a kind of file to make where a mount's target is missing.
type Kind uint32

// The kinds.
const (
	KindNone   Kind = iota // make nothing
	KindDir                // a folder
	KindFile               // an empty file
	KindSource             // whatever the mount's own root is
)

// String returns the kind's name.
func (k Kind) String() string {
	names := [...]string{"none", "dir", "file", "as-source"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// String returns the slot's name.
func (s Slot) String() string {
	names := [...]string{"none", "root", "proc", "null", "maskdir", "pts", "master", "slave", "mount",
		"passwd", "fifo", "report", "seccomp", "listen", "pidfd"}
	switch {
	case int(s) < len(names):
		return names[s]
	case s == SlotTrace:
		return "trace"
	case s >= SlotCgroup && s < SlotCgroup+16:
		return "cgroup" + strconv.Itoa(int(s-SlotCgroup))
	}
	return "fd" + strconv.Itoa(int(s))
}

// Origin is the place in config.json that asked for an operation, for example
// {"mounts", 3} for mounts[3]. An Index below zero means that Field is whole.
type Origin struct {
	Field string
	Index int
	// Name says which one of a list it is where that tells more than Index.
	Name string
}

// At returns the origin of a field that is no list.
func At(field string) Origin { return Origin{Field: field, Index: -1} }

// String returns the origin as a path in config.json.
func (o Origin) String() string {
	if o.Index < 0 {
		return o.Field
	}
	if o.Name != "" {
		return fmt.Sprintf("%s[%d] (%s)", o.Field, o.Index, o.Name)
	}
	return fmt.Sprintf("%s[%d]", o.Field, o.Index)
}

// Op is one operation of the executor; the types are those of ops.go.
type Op interface {
	// Code returns the operation's number on the wire.
	Code() Code
	// Args returns the operation's arguments in order, for printing.
	Args() []Arg
	encode(*encoder)
}

// Arg is an argument of an operation as it is printed.
type Arg struct {
	Name  string
	Value any // string, []string, uint64, bool or a Stringer of this package
}

// Step is an operation, where it comes from, and what follows when it fails.
type Step struct {
	Op     Op
	Origin Origin

	// OnError lists up to four error numbers that do not end the plan.
	OnError []uint16
	// Else is how many of the following steps run only when one of OnError
	// happened; they are skipped on success.
	Else int
}

// Plan is what the executor carries out, in order.
type Plan struct {
	Steps []Step
}

// Add appends an operation.
func (p *Plan) Add(origin Origin, op Op) {
	p.Steps = append(p.Steps, Step{Op: op, Origin: origin})
}

// AddTolerant appends an operation that may fail with one of errnos; then the
// next orElse steps run, which are skipped otherwise.
func (p *Plan) AddTolerant(origin Origin, op Op, orElse int, errnos ...uint16) {
	p.Steps = append(p.Steps, Step{Op: op, Origin: origin, OnError: errnos, Else: orElse})
}
