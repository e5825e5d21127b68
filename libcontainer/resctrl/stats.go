package resctrl

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Stats are the figures of a group, with the keys of runc's events.
type Stats struct {
	L3CacheInfo       *L3CacheInfo `json:"l3_cache_info,omitempty"`
	L3CacheSchemaRoot string       `json:"l3_cache_schema_root,omitempty"`
	L3CacheSchema     string       `json:"l3_cache_schema,omitempty"`
	MemBwInfo         *MemBwInfo   `json:"mem_bw_info,omitempty"`
	MemBwSchemaRoot   string       `json:"mem_bw_schema_root,omitempty"`
	MemBwSchema       string       `json:"mem_bw_schema,omitempty"`
	// MBM and CMT have an entry for each L3 cache, in order.
	MBM []Bandwidth `json:"mbm_stats,omitempty"`
	CMT []Occupancy `json:"cmt_stats,omitempty"`
}

// L3CacheInfo is what the processor can do with its L3 caches.
type L3CacheInfo struct {
	CbmMask    string `json:"cbm_mask,omitempty"`
	MinCbmBits uint64 `json:"min_cbm_bits,omitempty"`
	NumClosids uint64 `json:"num_closids,omitempty"`
}

// MemBwInfo is what the processor can do with memory bandwidth.
type MemBwInfo struct {
	BandwidthGran uint64 `json:"bandwidth_gran,omitempty"`
	DelayLinear   uint64 `json:"delay_linear,omitempty"`
	MinBandwidth  uint64 `json:"min_bandwidth,omitempty"`
	NumClosids    uint64 `json:"num_closids,omitempty"`
}

// Bandwidth is what passed between a cache and memory since the group exists, in
// bytes; local is from the cache's own NUMA node.
type Bandwidth struct {
	Total uint64 `json:"mbm_total_bytes,omitempty"`
	Local uint64 `json:"mbm_local_bytes,omitempty"`
}

// Occupancy is how much of a cache the group has, in bytes.
type Occupancy struct {
	Bytes uint64 `json:"llc_occupancy,omitempty"`
}

// StatsOf reads the figures of a container's group.
func StatsOf(g Group) Stats { return at(Mountpoint).Stats(g) }

// Stats reads a group's figures. What the processor does not have, or the kernel
// calls unavailable, is left out.
func (t *Tree) Stats(g Group) Stats {
	var s Stats
	info := func(name string) string { return text(filepath.Join(t.root, "info", name)) }
	if mask := info("L3/cbm_mask"); mask != "" {
		s.L3CacheInfo = &L3CacheInfo{mask, number(info("L3/min_cbm_bits")), number(info("L3/num_closids"))}
		s.L3CacheSchemaRoot, s.L3CacheSchema = schema(t.root, "L3"), schema(g.Dir, "L3")
	}
	if least := info("MB/min_bandwidth"); least != "" {
		s.MemBwInfo = &MemBwInfo{number(info("MB/bandwidth_gran")), number(info("MB/delay_linear")), number(least), number(info("MB/num_closids"))}
		s.MemBwSchemaRoot, s.MemBwSchema = schema(t.root, "MB"), schema(g.Dir, "MB")
	}
	dir := g.Monitor
	if dir == "" && g.Own {
		dir = g.Dir
	}
	if dir == "" {
		return s // the figures are others' too
	}
	features := strings.Fields(info("L3_MON/mon_features"))
	domains, err := filepath.Glob(filepath.Join(dir, "mon_data", "mon_L3_*"))
	if err != nil {
		return s
	}
	sort.Strings(domains)
	for _, d := range domains {
		var b Bandwidth
		var bandwidth bool
		for _, f := range features {
			n := number(text(filepath.Join(d, f)))
			switch f {
			case "llc_occupancy":
				s.CMT = append(s.CMT, Occupancy{n})
			case "mbm_total_bytes":
				b.Total, bandwidth = n, true
			case "mbm_local_bytes":
				b.Local, bandwidth = n, true
			}
		}
		if bandwidth {
			s.MBM = append(s.MBM, b)
		}
	}
	return s
}

// text reads a small file; what cannot be read is as good as not there.
func text(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0 // "Unavailable", "Error"
	}
	return n
}

// schema is a group's line of a resource.
func schema(dir, resource string) string {
	for line := range strings.Lines(text(filepath.Join(dir, "schemata"))) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, resource+":") {
			return line
		}
	}
	return ""
}
