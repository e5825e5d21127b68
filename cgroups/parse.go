package cgroups

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// The parsers below take the content of one control file. What they do not know
// they pass over, as newer kernels add keys; a number that is none reads as 0.

// ParseLimit reads a file with one number; "max" is 2^64-1.
func ParseLimit(b []byte) uint64 {
	b = bytes.TrimSpace(b)
	if string(b) == "max" {
		return math.MaxUint64
	}
	n, _ := Number(b)
	return n
}

// ParseFlat reads a flat-keyed file, such as memory.stat.
func ParseFlat(b []byte) map[string]uint64 {
	m := make(map[string]uint64, bytes.Count(b, []byte{'\n'}))
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte{' '})
		if !ok || len(key) == 0 {
			continue
		}
		if n, ok := Number(value); ok {
			m[string(key)] = n
		}
	}
	return m
}

// CPUStatV2 takes v2's cpu.stat, in microseconds there.
func (c *CPUStats) CPUStatV2(b []byte) {
	const microsecond = 1000
	c.Usage.Total = valueOr0(b, "usage_usec") * microsecond
	c.Usage.User = valueOr0(b, "user_usec") * microsecond
	c.Usage.Kernel = valueOr0(b, "system_usec") * microsecond
	c.Throttling.Periods = valueOr0(b, "nr_periods")
	c.Throttling.ThrottledPeriods = valueOr0(b, "nr_throttled")
	c.Throttling.ThrottledTime = valueOr0(b, "throttled_usec") * microsecond
}

// CPUStatV1 takes v1's cpu.stat, which has only the throttling.
func (c *CPUStats) CPUStatV1(b []byte) {
	c.Throttling.Periods = valueOr0(b, "nr_periods")
	c.Throttling.ThrottledPeriods = valueOr0(b, "nr_throttled")
	c.Throttling.ThrottledTime = valueOr0(b, "throttled_time")
}

// UsageAll takes v1's cpuacct.usage_all: a line for each CPU, with its number,
// user and system nanoseconds. The total is their sum.
func (u *CPUUsage) UsageAll(b []byte) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue
		}
		_, ok := Number(fields[0])
		user, ok1 := Number(fields[1])
		system, ok2 := Number(fields[2])
		if !ok || !ok1 || !ok2 {
			continue
		}
		u.PerCPU = append(u.PerCPU, user+system)
		u.PerCPUUser = append(u.PerCPUUser, user)
		u.PerCPUKernel = append(u.PerCPUKernel, system)
		u.User += user
		u.Kernel += system
		u.Total += user + system
	}
}

// UsagePerCPU takes v1's cpuacct.usage_percpu: the nanoseconds of each CPU, in one
// line.
func (u *CPUUsage) UsagePerCPU(b []byte) {
	fields := bytes.Fields(b)
	list := make([]uint64, 0, len(fields))
	for _, field := range fields {
		n, _ := Number(field)
		list = append(list, n)
	}
	u.PerCPU = list
}

func valueOr0(b []byte, key string) uint64 {
	n, _ := Value(b, key)
	return n
}

// ParseBlkio reads a v1 blkio file: lines of "MAJOR:MINOR OPERATION VALUE", or
// without an operation. The total over all devices, which ends it, is left out.
func ParseBlkio(b []byte) []BlkioEntry {
	var list []BlkioEntry
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) != 2 && len(fields) != 3 {
			continue
		}
		e, ok := device(fields[0])
		if !ok {
			continue
		}
		if len(fields) == 3 {
			e.Op = string(fields[1])
		}
		if e.Value, ok = Number(fields[len(fields)-1]); ok {
			list = append(list, e)
		}
	}
	return list
}

// IOStat takes v2's io.stat: lines of "MAJOR:MINOR KEY=VALUE…".
func (s *BlkioStats) IOStat(b []byte) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		e, ok := device(fields[0])
		if !ok {
			continue
		}
		for _, field := range fields[1:] {
			key, value, _ := bytes.Cut(field, []byte{'='})
			n, ok := Number(value)
			if !ok {
				continue
			}
			e.Value = n
			switch string(key) {
			case "rbytes":
				e.Op = "Read"
				s.ServiceBytes = append(s.ServiceBytes, e)
			case "wbytes":
				e.Op = "Write"
				s.ServiceBytes = append(s.ServiceBytes, e)
			case "dbytes":
				e.Op = "Discard"
				s.ServiceBytes = append(s.ServiceBytes, e)
			case "rios":
				e.Op = "Read"
				s.Serviced = append(s.Serviced, e)
			case "wios":
				e.Op = "Write"
				s.Serviced = append(s.Serviced, e)
			case "dios":
				e.Op = "Discard"
				s.Serviced = append(s.Serviced, e)
			}
		}
	}
}

func device(b []byte) (BlkioEntry, bool) {
	major, minor, _ := bytes.Cut(b, []byte{':'})
	var e BlkioEntry
	var ok, ok1 bool
	e.Major, ok = Number(major)
	e.Minor, ok1 = Number(minor)
	return e, ok && ok1
}

// ParsePressure reads a *.pressure file; nil when it has no line of the form.
func ParsePressure(b []byte) *PSI {
	var psi PSI
	found := false
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		data := &psi.Some
		switch fields[0] {
		case "some":
		case "full":
			data = &psi.Full
		default:
			continue
		}
		found = true
		for _, field := range fields[1:] {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "avg10":
				data.Avg10 = percentage(value)
			case "avg60":
				data.Avg60 = percentage(value)
			case "avg300":
				data.Avg300 = percentage(value)
			case "total":
				data.Total, _ = Number([]byte(value))
			}
		}
	}
	if !found {
		return nil
	}
	return &psi
}

// percentage reads a number such as 12.34; JSON has no place for other floats.
func percentage(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
