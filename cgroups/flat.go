package cgroups

import "bytes"

// Flag tells whether a flat-keyed control file ("KEY VALUE" lines, such as
// cgroup.events) has the key with a value other than 0.
func Flag(b []byte, key string) bool {
	v, ok := Value(b, key)
	return ok && v != 0
}

// Value finds a key's number in a flat-keyed control file. It is false when the
// key is absent or its value is no unsigned number.
func Value(b []byte, key string) (uint64, bool) {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if len(line) > len(key) && line[len(key)] == ' ' && string(line[:len(key)]) == key {
			return Number(line[len(key)+1:])
		}
	}
	return 0, false
}

// Number reads an unsigned decimal number, which may end in blanks. It is false
// for anything else and for what does not fit 64 bits.
func Number(b []byte) (uint64, bool) {
	b = bytes.TrimRight(b, " \n")
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
