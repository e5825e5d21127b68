package spec

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// IDMap is what an option word of crun's says of an idmapped mount, such as
// idmap=uids=0-1-10#10-11-10;gids=@0-100-10: each range is the first id on the
// file system, the first that it becomes, and how many.
type IDMap struct {
	Recursive  bool
	UIDs, GIDs []IDRange
}

// IDRange is one range of an IDMap.
type IDRange struct {
	specs.LinuxIDMapping
	// Relative says that HostID is an id in the container's user namespace.
	Relative bool
}

// ParseIDMap reads one of the words idmap, ridmap, idmap=RANGES and
// ridmap=RANGES. An option word that is none of them is not ok; why says what
// is wrong with the ranges of one that is, and is else empty.
func ParseIDMap(word string) (m IDMap, ok bool, why string) {
	name, ranges, given := strings.Cut(word, "=")
	if name != "idmap" && name != "ridmap" {
		return IDMap{}, false, ""
	}
	m.Recursive = name == "ridmap"
	if !given {
		return m, true, ""
	}
	for _, part := range strings.Split(ranges, ";") {
		kind, list, _ := strings.Cut(part, "=")
		into := &m.UIDs
		switch kind {
		case "uids":
		case "gids":
			into = &m.GIDs
		default:
			return m, true, quote(part) + " is neither uids=RANGES nor gids=RANGES"
		}
		for _, text := range strings.Split(list, "#") {
			r, ok := parseIDRange(text)
			if !ok {
				return m, true, quote(text) + " is no range of ids such as 0-100000-65536"
			}
			*into = append(*into, r)
		}
	}
	if len(m.UIDs) == 0 || len(m.GIDs) == 0 {
		return m, true, "it must have uids= as well as gids="
	}
	return m, true, ""
}

func parseIDRange(text string) (r IDRange, ok bool) {
	text, r.Relative = strings.CutPrefix(text, "@")
	numbers := strings.Split(text, "-")
	if len(numbers) != 3 {
		return r, false
	}
	for i, into := range []*uint32{&r.ContainerID, &r.HostID, &r.Size} {
		n, err := strconv.ParseUint(numbers[i], 10, 32)
		if err != nil {
			return r, false
		}
		*into = uint32(n)
	}
	return r, true
}

// mappings returns the ranges as checks of mappings take them.
func (m *IDMap) mappings() (uids, gids []specs.LinuxIDMapping) {
	for _, r := range m.UIDs {
		uids = append(uids, r.LinuxIDMapping)
	}
	for _, r := range m.GIDs {
		gids = append(gids, r.LinuxIDMapping)
	}
	return uids, gids
}
