package cgroups

// Stats are a container's figures, with the JSON keys of runc's `events`, which
// containerd (go-runc) and others read. Key intel_rdt and network_interfaces are
// not cgroup's, and stand elsewhere.
type Stats struct {
	CPU     CPUStats                `json:"cpu"`
	Memory  MemoryStats             `json:"memory"`
	Pids    PidsStats               `json:"pids"`
	Blkio   BlkioStats              `json:"blkio"`
	Hugetlb map[string]HugetlbStats `json:"hugetlb"`
}

// CPUStats are the times on CPUs and of throttling.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage,omitempty"`
	Throttling Throttling `json:"throttling,omitempty"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is in nanoseconds. v2 has nothing per CPU.
type CPUUsage struct {
	Total        uint64   `json:"total,omitempty"`
	PerCPU       []uint64 `json:"percpu,omitempty"`
	PerCPUKernel []uint64 `json:"percpu_kernel,omitempty"`
	PerCPUUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling counts periods of cpu.period length, and the nanoseconds waited.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

// MemoryStats are in bytes. Swap is memory and swap together on v1 and, to be
// comparable, on v2. Kernel and KernelTCP are v1's.
type MemoryStats struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryUsage       `json:"usage,omitempty"`
	Swap      MemoryUsage       `json:"swap,omitempty"`
	Kernel    MemoryUsage       `json:"kernel,omitempty"`
	KernelTCP MemoryUsage       `json:"kernelTCP,omitempty"`
	Raw       map[string]uint64 `json:"raw,omitempty"`
	PSI       *PSI              `json:"psi,omitempty"`
}

// MemoryUsage is one of the memory counters, in bytes. An unlimited Limit is the
// largest number the kernel shows; on v2, 2^64-1. Failcnt counts how often
// the limit was met.
type MemoryUsage struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PidsStats counts tasks (threads); Limit 0 is unlimited.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// BlkioEntry is one counter of one block device.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// BlkioStats are per device: bytes, operations, and what the BFQ scheduler of a
// debugging kernel adds.
type BlkioStats struct {
	ServiceBytes []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	Serviced     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	Queued       []BlkioEntry `json:"ioQueueRecursive,omitempty"`
	ServiceTime  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	WaitTime     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	Merged       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	Time         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	Sectors      []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI          *PSI         `json:"psi,omitempty"`
}

// HugetlbStats are of one page size, in bytes: reservations where the kernel
// counts them (5.7), else what is in use.
type HugetlbStats struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PSI is pressure stall information (Documentation/accounting/psi.rst): some or
// all tasks waited.
type PSI struct {
	Some PSIData `json:"some,omitempty"`
	Full PSIData `json:"full,omitempty"`
}

// PSIData has percentages of the last 10, 60 and 300 seconds, and the total in
// microseconds.
type PSIData struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}
