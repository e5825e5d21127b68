package spec

import (
	"errors"
	"strconv"
	"strings"
)

// bitmapMax bounds the numbers in a list of CPUs or memory nodes. Kernels are
// built for at most 8192 CPUs and 1024 nodes; the room above costs nothing,
// and the bound keeps a typing error from costing gigabytes.
const bitmapMax = 65535

// Bitmap reads a list of CPUs or memory nodes, such as 0-3,7 (cpuset(7), List
// format), and gives the bit mask that sched_setaffinity(2) and
// set_mempolicy(2) take: bit n%64 of word n/64 stands for n. Spaces around
// numbers are let pass; an empty list, a backward range and numbers beyond
// 65535 are errors.
func Bitmap(list string) ([]uint64, error) {
	var mask []uint64
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := bitmapNumber(low)
		if err != nil {
			return nil, err
		}
		to := from
		if ranged {
			if to, err = bitmapNumber(high); err != nil {
				return nil, err
			}
		}
		if to < from {
			return nil, errors.New(quote(part) + " runs backwards")
		}
		for len(mask) <= to/64 {
			mask = append(mask, 0)
		}
		for n := from; n <= to; n++ {
			mask[n/64] |= 1 << (n % 64)
		}
	}
	return mask, nil
}

func bitmapNumber(s string) (int, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case err != nil && s == "":
		return 0, errors.New("a number is missing in the list")
	case err != nil:
		return 0, errors.New(quote(s) + " is no number")
	case n > bitmapMax:
		return 0, errors.New(s + " is beyond " + strconv.Itoa(bitmapMax))
	}
	return int(n), nil
}
