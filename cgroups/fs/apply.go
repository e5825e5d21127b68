package fs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Apply writes a container's limits, in order. The first that the kernel
// refuses ends it; the error names its origin, the value, the file and the
// kernel's reason, and what to do. The caller then removes the cgroup.
func (m *Manager) Apply(writes []cgroups.Write) error {
	return m.apply(writes, nil)
}

// Update writes changed limits into the cgroup of a running container: all of
// them or none. What was there before is read first, and written back when one
// is refused.
func (m *Manager) Update(writes []cgroups.Write) error {
	if err := m.enableMore(cgroups.Needed(writes)); err != nil {
		return err
	}
	for i := range writes {
		if err := m.checkUsage(&writes[i]); err != nil {
			return err
		}
	}
	var undo []cgroups.Write
	err := m.apply(writes, &undo)
	if err == nil {
		return nil
	}
	// The latest first, which also keeps groups together.
	for i, j := 0, len(undo)-1; i < j; i, j = i+1, j-1 {
		undo[i], undo[j] = undo[j], undo[i]
	}
	if undoErr := m.apply(undo, nil); undoErr != nil {
		return fmt.Errorf("%w; and the limits changed before could not be set back: %w", err, undoErr)
	}
	return err
}

// enableMore turns on the v2 controllers that a container made without such
// limits does not have yet.
func (m *Manager) enableMore(controllers []string) error {
	f := m.unified()
	if f == nil || len(controllers) == 0 {
		return nil
	}
	if _, err := f.dir(); err != nil {
		return err
	}
	base, err := openRoot(f.Mountpoint)
	if err != nil {
		return fmt.Errorf("open the cgroup mount %s: %w", f.Mountpoint, err)
	}
	defer unix.Close(base)
	var buf [256]byte
	available, err := readFile(base, "cgroup.controllers", buf[:])
	if err != nil {
		return fmt.Errorf("read %s/cgroup.controllers: %w", f.Mountpoint, err)
	}
	return f.enable(base, cgroups.ParseControllers(available), controllers)
}

// checkUsage refuses a limit under what is in use, where that was asked for.
func (m *Manager) checkUsage(w *cgroups.Write) error {
	if w.NotBelow == "" {
		return nil
	}
	_, dir, err := m.home(w)
	if err != nil {
		return err
	}
	usage, err := readFile(dir, w.NotBelow, make([]byte, 0, 32))
	if err != nil {
		return fmt.Errorf("%s: read %s to compare: %w", w.Origin, w.NotBelow, err)
	}
	if cgroups.Below(w.Value, usage) {
		return fmt.Errorf("%s: %s is below the present usage (%s is %s), which checkBeforeUpdate forbids: free memory, or give a higher limit",
			w.Origin, w.Value, w.NotBelow, trim(usage))
	}
	return nil
}

// home is the folder that has the write's file.
func (m *Manager) home(w *cgroups.Write) (*folder, int, error) {
	f := m.unified()
	if !w.Unified {
		f = m.legacy(w.Controller)
	}
	if f == nil {
		return nil, -1, fmt.Errorf("%s: the container has no cgroup with the controller %s: its cgroup was made without (as rootless, or on another host layout)", w.Origin, w.Controller)
	}
	dir, err := f.dir()
	if err != nil {
		return nil, -1, fmt.Errorf("%s: %w", w.Origin, err)
	}
	return f, dir, nil
}

// apply writes in order; where undo is given, it gets a write for each that
// succeeded that brings back what was there.
func (m *Manager) apply(writes []cgroups.Write, undo *[]cgroups.Write) error {
	defer m.written.close()
	for len(writes) > 0 {
		n := 1
		for writes[0].Group != 0 && n < len(writes) && writes[n].Group == writes[0].Group {
			n++
		}
		if err := m.applyGroup(writes[:n], undo); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

// applyGroup writes what may be written in any order: what the kernel refuses as
// invalid is tried again after the rest, as long as that gets on.
func (m *Manager) applyGroup(group []cgroups.Write, undo *[]cgroups.Write) error {
	var first error
	var refused []cgroups.Write
	for i := range group {
		err := m.applyOne(&group[i], undo)
		switch {
		case err == nil:
		case len(group) > 1 && errors.Is(err, unix.EINVAL):
			refused = append(refused, group[i])
			if first == nil {
				first = err
			}
		default:
			return err
		}
	}
	if len(refused) == 0 || len(refused) == len(group) {
		return first
	}
	return m.applyGroup(refused, undo)
}

func (m *Manager) applyOne(w *cgroups.Write, undo *[]cgroups.Write) error {
	f, dir, err := m.home(w)
	if err != nil {
		return err
	}
	file, value := w.File, w.Value
	err = m.writeOne(w, dir, file, value, undo)
	if absent(err) && w.Else.File != "" {
		file, value = w.Else.File, w.Else.Value
		err = m.writeOne(w, dir, file, value, undo)
	}
	if err == nil || absent(err) && w.Optional {
		return nil
	}
	if absent(err) {
		if _, gone := readFile(dir, "cgroup.procs", nil); absent(gone) {
			return fmt.Errorf("%s: the cgroup %s was removed meanwhile: %w", w.Origin, f.Full(), err)
		}
	}
	return fmt.Errorf("%s: write %q to %s: %w%s", w.Origin, value, file, err, writeHint(file, err))
}

// writeOne writes one file, and notes how to undo it.
func (m *Manager) writeOne(w *cgroups.Write, dir int, file, value string, undo *[]cgroups.Write) error {
	if undo == nil {
		return m.written.write(dir, file, value)
	}
	before, err := readFile(dir, file, make([]byte, 0, 256))
	if err != nil {
		return err
	}
	if err := writeFile(dir, file, value); err != nil {
		return err
	}
	*undo = append(*undo, cgroups.Write{Controller: w.Controller, Unified: w.Unified, File: file, Group: w.Group,
		Value: cgroups.Undo(file, value, before), Origin: w.Origin})
	return nil
}

// writeHint says what the kernel's refusal of a file means, and what to do.
func writeHint(file string, err error) string {
	switch {
	case errors.Is(err, unix.ENOENT):
		return absentHint(file)
	case errors.Is(err, unix.ENODEV):
		return ": the host has no such device (of a disk, name the whole and not a partition)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return rangeHint(file)
	case errors.Is(err, unix.EBUSY):
		if strings.HasPrefix(file, "memory.") {
			return ": more than that is in use, and the kernel could not free it: give a higher limit"
		}
		return ": the cgroup's present state does not allow it"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		if strings.HasPrefix(file, "cpuset.") {
			return ": the cgroup above does not have all of these (see its " + file + ")"
		}
		return ": this user may not change it: run berth as root, or delegate the controller"
	case errors.Is(err, unix.ENOSPC) && strings.HasPrefix(file, "cpuset."):
		return ": a cpuset with processes cannot become empty"
	}
	return ""
}

// absentHint says why a kernel would not have the file. Kernel versions are those
// that brought it.
func absentHint(file string) string {
	switch {
	case file == "cpu.idle":
		return ": it came with Linux 5.15: remove the field, or use a newer kernel"
	case file == "cpu.max.burst", file == "cpu.cfs_burst_us":
		return ": it came with Linux 5.14: remove the field, or use a newer kernel"
	case strings.HasPrefix(file, "cpu.rt_"):
		return ": this kernel is built without CONFIG_RT_GROUP_SCHED: remove the field"
	case strings.HasPrefix(file, "memory.memsw."), strings.HasPrefix(file, "memory.swap."):
		return ": the kernel does not account swap: boot it with swapaccount=1, or remove the field"
	case strings.HasPrefix(file, "blkio.leaf_weight"):
		return ": leaf weights were the CFQ scheduler's, which left with Linux 5.0: remove the field"
	case strings.HasSuffix(file, "weight"), strings.HasSuffix(file, "weight_device"):
		return ": weights need the BFQ scheduler (modprobe bfq) or, on v2, the io.cost controller: enable one, or remove the field"
	case strings.HasPrefix(file, "hugetlb."):
		return ": the host has no huge pages of this size (see /sys/kernel/mm/hugepages)"
	}
	return ": this kernel does not have it"
}

func rangeHint(file string) string {
	switch file {
	case "pids.max":
		return ": the kernel takes 0 to 4194304, or max (-1)"
	case "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.max":
		return ": the kernel takes a period of 1000 to 1000000 µs, a quota of 1000 µs or more, and not more than the cgroup above has"
	case "cpu.cfs_burst_us", "cpu.max.burst":
		return ": it must not be more than the quota"
	case "cpu.rt_period_us", "cpu.rt_runtime_us":
		return ": the runtime must not be above the period, and the cgroup above must have that much to give (see its cpu.rt_runtime_us, which is 0 in a new cgroup)"
	case "cpu.weight", "cpu.shares":
		return ": an idle cgroup has no weight"
	case "cpuset.cpus":
		return ": it must be a list such as 0-3,7 of CPUs this host has (see /sys/devices/system/cpu/possible) and the cgroup above may use"
	case "cpuset.mems":
		return ": it must be a list such as 0-1 of memory nodes this host has (see /sys/devices/system/node/has_memory) and the cgroup above may use"
	case "memory.limit_in_bytes", "memory.memsw.limit_in_bytes":
		return ": memory.swap limits memory and swap together, and must not be below memory.limit"
	case "net_prio.ifpriomap":
		return ": the runtime's network namespace must have the interface"
	}
	return ": see the kernel's document of the controller for what this file takes"
}
