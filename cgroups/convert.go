package cgroups

import "math"

// The range of cpu.shares in the kernel (MIN_SHARES and MAX_SHARES,
// kernel/sched/sched.h); v1 silently forces other values into it.
const (
	minShares = 2
	maxShares = 262144
)

// SharesToWeight converts v1 CPU shares (2 to 262144, usually 1024) to a v2
// cpu.weight (1 to 10000, usually 100); 0, which is unset, stays 0.
//
// A straight line through the ends of both ranges, as was used before, gives a
// container with the usual shares a weight of 39, less than half of what any
// other cgroup has. This is the curve runc has used since 1.3.2: it meets both
// ends and the usual value, and is a parabola in the logarithms:
//
//	weight = ceil(10^((l² + 125·l)/612 − 7/34)), l = log2(shares)
func SharesToWeight(shares uint64) uint64 {
	switch {
	case shares == 0:
		return 0
	case shares <= minShares:
		return 1
	case shares >= maxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// The range of blkio.weight and blkio.bfq.weight that v1's document gives.
const (
	minBlockWeight = 10
	maxBlockWeight = 1000
)

// BlockWeightToIOWeight converts a blockIO weight (10 to 1000) to a v2 io.weight
// (1 to 10000) along a straight line; 0, which is unset, stays 0. The BFQ
// scheduler's io.bfq.weight takes the blockIO weight as it is.
func BlockWeightToIOWeight(weight uint16) uint64 {
	if weight == 0 {
		return 0
	}
	w := min(max(uint64(weight), minBlockWeight), maxBlockWeight)
	return 1 + (w-minBlockWeight)*9999/(maxBlockWeight-minBlockWeight)
}
