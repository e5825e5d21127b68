package seccomp

import (
	"encoding/binary"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// formatVersion is part of every Key. Raise it with any change to the program
// that Compile makes of a profile, or to the form of a cache file: the golden
// test fails when the program changes.
const formatVersion = 3

// Key is all that a compiled program depends on, written out: the profile's
// fields in a fixed order, each behind its length; this package's version; who
// writes the program; libseccomp's version; the processor; the kernel's release. Two keys are equal exactly
// where the program is the same, so the cache compares keys and trusts no hash.
type Key []byte

// NewKey gives the key of a profile for the running program. release is the
// kernel's (uname(2)).
func NewKey(p *specs.LinuxSeccomp, release string) Key {
	k := make(Key, 0, 8192)
	k = k.number(formatVersion)
	k = k.text(runtime.GOARCH)
	k = k.text(generator)
	k = k.text(LibraryVersion())
	k = k.text(release)
	k = k.text(string(p.DefaultAction))
	k = k.optional(p.DefaultErrnoRet)
	k = k.number(uint64(len(p.Architectures)))
	for _, a := range p.Architectures {
		k = k.text(string(a))
	}
	// Absent flags are not the same as none.
	if p.Flags == nil {
		k = append(k, 0)
	} else {
		k = append(k, 1)
	}
	k = k.number(uint64(len(p.Flags)))
	for _, f := range p.Flags {
		k = k.text(string(f))
	}
	// listenerPath and listenerMetadata say where the descriptor goes; the
	// program is the same.
	k = k.number(uint64(len(p.Syscalls)))
	for i := range p.Syscalls {
		s := &p.Syscalls[i]
		k = k.number(uint64(len(s.Names)))
		for _, name := range s.Names {
			k = k.text(name)
		}
		k = k.text(string(s.Action))
		k = k.optional(s.ErrnoRet)
		k = k.number(uint64(len(s.Args)))
		for _, a := range s.Args {
			k = k.number(uint64(a.Index))
			k = k.number(a.Value)
			k = k.number(a.ValueTwo)
			k = k.text(string(a.Op))
		}
	}
	return k
}

func (k Key) number(n uint64) Key { return binary.AppendUvarint(k, n) }

func (k Key) text(s string) Key { return append(k.number(uint64(len(s))), s...) }

func (k Key) optional(n *uint) Key {
	if n == nil {
		return append(k, 0)
	}
	return append(k, 1).number(uint64(*n))
}

// checksum notices damage, and spreads keys over file names. It is no
// protection against someone who chooses the bytes. Each step is reversible, so
// no single wrong word goes unnoticed.
func checksum(b []byte) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(b)) * prime
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * prime
		h ^= h >> 29
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * prime
		h ^= h >> 29
	}
	return h
}
