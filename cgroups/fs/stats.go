package fs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Stats reads the container's figures from where each controller lives. What the
// kernel does not have, or does not count, stays 0.
func (m *Manager) Stats() (*cgroups.Stats, error) {
	r := statReader{buf: make([]byte, 0, 4096)}
	s := &cgroups.Stats{Hugetlb: map[string]cgroups.HugetlbStats{}}
	if f := m.legacy("cpuacct"); f != nil {
		r.cpuacct(f, &s.CPU.Usage)
	}
	if f := m.legacy("cpu"); f != nil {
		r.with(f, "cpu.stat", s.CPU.CPUStatV1)
	}
	if f := m.legacy("memory"); f != nil {
		r.memoryV1(f, &s.Memory)
	}
	if f := m.legacy("blkio"); f != nil {
		r.blkioV1(f, &s.Blkio)
	}
	if f := m.legacy("hugetlb"); f != nil {
		r.hugetlb(f, s.Hugetlb)
	}
	pids := m.legacy("pids")
	if f := m.unified(); f != nil {
		r.unified(m, f, s)
		if pids == nil {
			pids = f
		}
	}
	if pids != nil {
		s.Pids.Current = r.number(pids, "pids.current")
		if limit := r.number(pids, "pids.max"); limit < 1<<63 {
			s.Pids.Limit = limit
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// statReader reads control files and keeps the first error; a file that is not
// there, or not supported, is none.
type statReader struct {
	buf []byte
	err error
}

func (r *statReader) read(f *folder, file string) ([]byte, bool) {
	if r.err != nil {
		return nil, false
	}
	dir, err := f.dir()
	if err == nil {
		var b []byte
		if b, err = readFile(dir, file, r.buf); err == nil {
			r.buf = b[:0]
			return b, true
		}
		// Absent; pressure that is off (EOPNOTSUPP); the cgroup being removed.
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) {
			return nil, false
		}
	}
	r.err = fmt.Errorf("statistics of cgroup %s: read %s: %w", f.Full(), file, err)
	return nil, false
}

func (r *statReader) with(f *folder, file string, take func([]byte)) {
	if b, ok := r.read(f, file); ok {
		take(b)
	}
}

func (r *statReader) number(f *folder, file string) uint64 {
	b, ok := r.read(f, file)
	if !ok {
		return 0
	}
	return cgroups.ParseLimit(b)
}

// unified reads what is in the v2 folder: pressure always; the rest where no v1
// hierarchy has the controller.
func (r *statReader) unified(m *Manager, f *folder, s *cgroups.Stats) {
	if m.legacy("cpuacct") == nil && m.legacy("cpu") == nil {
		r.with(f, "cpu.stat", s.CPU.CPUStatV2)
	}
	if m.legacy("memory") == nil {
		r.memoryV2(f, &s.Memory)
	}
	if m.legacy("blkio") == nil {
		r.with(f, "io.stat", s.Blkio.IOStat)
	}
	if m.legacy("hugetlb") == nil {
		r.hugetlb(f, s.Hugetlb)
	}
	s.CPU.PSI = r.pressure(f, "cpu.pressure")
	s.Memory.PSI = r.pressure(f, "memory.pressure")
	s.Blkio.PSI = r.pressure(f, "io.pressure")
}

func (r *statReader) pressure(f *folder, file string) *cgroups.PSI {
	b, ok := r.read(f, file)
	if !ok {
		return nil
	}
	return cgroups.ParsePressure(b)
}

// cpuacct takes user and kernel time, which v1 counts by clock ticks, and then
// the times that it measures: a process that runs for less than a tick at a time
// has no others.
func (r *statReader) cpuacct(f *folder, u *cgroups.CPUUsage) {
	r.with(f, "cpuacct.usage_all", u.UsageAll)
	r.with(f, "cpuacct.usage", func(b []byte) { u.Total = cgroups.ParseLimit(b) })
	r.with(f, "cpuacct.usage_percpu", u.UsagePerCPU)
}

func (r *statReader) memoryV1(f *folder, s *cgroups.MemoryStats) {
	r.with(f, "memory.stat", func(b []byte) { s.Raw = cgroups.ParseFlat(b) })
	var ok bool
	if s.Cache, ok = s.Raw["total_cache"]; !ok {
		s.Cache = s.Raw["cache"]
	}
	s.Usage = r.counter(f, "memory.")
	s.Swap = r.counter(f, "memory.memsw.")
	s.Kernel = r.counter(f, "memory.kmem.")
	s.KernelTCP = r.counter(f, "memory.kmem.tcp.")
}

func (r *statReader) counter(f *folder, prefix string) cgroups.MemoryUsage {
	return cgroups.MemoryUsage{
		Usage:   r.number(f, prefix+"usage_in_bytes"),
		Max:     r.number(f, prefix+"max_usage_in_bytes"),
		Limit:   r.number(f, prefix+"limit_in_bytes"),
		Failcnt: r.number(f, prefix+"failcnt"),
	}
}

// memoryV2 adds memory to swap, which v2 counts apart, as v1 and runc show it.
func (r *statReader) memoryV2(f *folder, s *cgroups.MemoryStats) {
	b, ok := r.read(f, "memory.current")
	if !ok {
		return
	}
	s.Usage.Usage = cgroups.ParseLimit(b)
	r.with(f, "memory.stat", func(b []byte) { s.Raw = cgroups.ParseFlat(b) })
	s.Cache = s.Raw["file"]
	s.Usage.Limit = r.number(f, "memory.max")
	s.Usage.Max = r.number(f, "memory.peak")
	r.with(f, "memory.events", func(b []byte) { s.Usage.Failcnt, _ = cgroups.Value(b, "max") })
	if b, ok := r.read(f, "memory.swap.current"); ok {
		s.Swap.Usage = s.Usage.Usage + cgroups.ParseLimit(b)
		s.Swap.Limit = sumLimits(s.Usage.Limit, r.number(f, "memory.swap.max"))
		r.with(f, "memory.swap.events", func(b []byte) { s.Swap.Failcnt, _ = cgroups.Value(b, "max") })
	}
}

// sumLimits adds two limits, of which either may be the largest number, none.
func sumLimits(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<64 - 1
}

// blkioV1 takes the BFQ scheduler's counters where they count, else those of
// throttling, which every kernel has.
func (r *statReader) blkioV1(f *folder, s *cgroups.BlkioStats) {
	s.ServiceBytes = r.blkio(f, "io_service_bytes", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
	s.Serviced = r.blkio(f, "io_serviced", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")
	s.Queued = r.blkio(f, "io_queued")
	s.ServiceTime = r.blkio(f, "io_service_time")
	s.WaitTime = r.blkio(f, "io_wait_time")
	s.Merged = r.blkio(f, "io_merged")
	s.Time = r.blkio(f, "time")
	s.Sectors = r.blkio(f, "sectors")
}

func (r *statReader) blkio(f *folder, name string, others ...string) []cgroups.BlkioEntry {
	var list []cgroups.BlkioEntry
	r.with(f, "blkio.bfq."+name+"_recursive", func(b []byte) { list = cgroups.ParseBlkio(b) })
	for _, other := range others {
		if len(list) > 0 {
			break
		}
		r.with(f, other, func(b []byte) { list = cgroups.ParseBlkio(b) })
	}
	return list
}

// hugetlb reads each page size's counters, those of reservations where there are.
func (r *statReader) hugetlb(f *folder, s map[string]cgroups.HugetlbStats) {
	usage, peak := "usage_in_bytes", "max_usage_in_bytes"
	if f.Unified {
		usage, peak = "current", ""
	}
	for _, size := range pageSizes() {
		prefix := "hugetlb." + size + "."
		b, ok := r.read(f, prefix+"rsvd."+usage)
		reserved := prefix + "rsvd."
		if !ok {
			reserved = prefix
			if b, ok = r.read(f, prefix+usage); !ok {
				continue
			}
		}
		entry := cgroups.HugetlbStats{Usage: cgroups.ParseLimit(b)}
		if f.Unified {
			r.with(f, prefix+"events", func(b []byte) { entry.Failcnt, _ = cgroups.Value(b, "max") })
		} else {
			entry.Max = r.number(f, reserved+peak)
			entry.Failcnt = r.number(f, reserved+"failcnt")
		}
		s[size] = entry
	}
}

// pageSizes lists the host's huge page sizes as the hugetlb files name them: 2MB
// for /sys/kernel/mm/hugepages/hugepages-2048kB.
func pageSizes() []string {
	entries, err := os.ReadDir("/sys/kernel/mm/hugepages")
	if err != nil {
		return nil // a kernel without huge pages
	}
	var sizes []string
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "hugepages-")
		if !ok {
			continue
		}
		if kb, err := strconv.ParseUint(strings.TrimSuffix(text, "kB"), 10, 64); err == nil {
			sizes = append(sizes, sizeName(kb))
		}
	}
	return sizes
}

// sizeName writes kilobytes as the kernel's mem_fmt does (mm/hugetlb_cgroup.c).
func sizeName(kb uint64) string {
	switch {
	case kb >= 1<<20:
		return strconv.FormatUint(kb>>20, 10) + "GB"
	case kb >= 1<<10:
		return strconv.FormatUint(kb>>10, 10) + "MB"
	}
	return strconv.FormatUint(kb, 10) + "KB"
}
