// Package criu has CRIU checkpoint and restore processes. It starts `criu swrk`, and speaks the protocol of CRIU's
// service with it (https://criu.org/RPC): messages in protobuf over a SOCK_SEQPACKET socket.
//
// The few messages are encoded here, since a protobuf library costs every start of berth more than its own work
// (docs/decisions/009-criu-messages.md).
package criu

import (
	"encoding/binary"
	"errors"
)

// Request is what CRIU is asked to do: criu_req_type.
type Request uint64

// The requests, and what CRIU answers with on the way.
const (
	Dump    Request = 1
	Restore Request = 2
	PreDump Request = 4
	notify  Request = 6
)

// CgroupMode says how CRIU handles cgroups: criu_cg_mode.
type CgroupMode uint64

// The cgroup modes. With Ignore, processes stay in the cgroup that CRIU is in.
const (
	CgroupIgnore CgroupMode = 0
	CgroupSoft   CgroupMode = 3
	CgroupFull   CgroupMode = 4
	CgroupStrict CgroupMode = 5
)

// NetworkLock says by what the network is locked meanwhile; 0 leaves it to CRIU.
type NetworkLock uint64

// The network locks.
const (
	LockIptables NetworkLock = 1
	LockNftables NetworkLock = 2
	LockSkip     NetworkLock = 3
)

// Options are CRIU's criu_opts, as far as they are used. What is zero is left to CRIU, but for the cgroup mode.
type Options struct {
	ImagesFD, WorkFD int // descriptors of folders, of this process
	LogFile          string
	Pid              int

	LeaveRunning, ExtUnixSk, TCPEstablished, TCPClose, TCPSkipInFlight bool
	ShellJob, FileLocks, LinkRemap, AutoDedup, TrackMem, LazyPages     bool
	// OrphanPtsMaster has the master of a terminal sent at a restore.
	OrphanPtsMaster bool
	// Sibling makes the restored process a child of this process.
	Sibling bool

	PageServer *PageServer
	Root       string
	ParentImg  string
	Cgroups    CgroupMode
	// CgroupRoot is the folder, below the hierarchies' mount points, that takes the place of the processes' own; empty
	// for none.
	CgroupRoot   []CgroupRoot
	FreezeCgroup string
	// CgroupYard is a folder with the cgroup hierarchies by their names, which CRIU mounts by itself otherwise.
	CgroupYard string
	// External are resources outside the container, such as "mnt[/data]:/srv/data".
	External []string
	Inherit  []InheritFD
	EmptyNS  uint64 // CLONE_NEW…
	// StatusFD is a descriptor, of this process, that is written to when lazy pages can be asked for; 0 for none.
	StatusFD        int
	ConfigFile      string
	LSMProfile      string
	LSMMountContext string
	NetworkLock     NetworkLock
}

// PageServer is where pages are sent to.
type PageServer struct {
	Address string
	Port    int
}

// CgroupRoot is a cgroup for the processes of a hierarchy; no Controller is for all of them.
type CgroupRoot struct{ Controller, Path string }

// InheritFD is an open file, here by its descriptor of this process, that takes the place of one in the image.
type InheritFD struct {
	Key string
	FD  int
}

// message is a protobuf message under construction.
type message []byte

func (m *message) number(field int, n uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, n)
}

// int32 writes a number that may be negative, which takes ten bytes.
func (m *message) int32(field, n int) { m.number(field, uint64(int64(n))) }

func (m *message) flag(field int, on bool) {
	if on {
		m.number(field, 1)
	}
}

func (m *message) text(field int, s string) {
	if s != "" {
		m.part(field, message(s))
	}
}

func (m *message) part(field int, inner message) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(inner)))
	*m = append(*m, inner...)
}

// encode is a criu_req. inherited are the descriptors of o.Inherit as CRIU has them.
func (o *Options) encode(request Request, inherited []int) message {
	var opts, m message
	opts.int32(1, o.ImagesFD)
	if o.Pid != 0 {
		opts.int32(2, o.Pid)
	}
	for field, on := range map[int]bool{3: o.LeaveRunning, 4: o.ExtUnixSk, 5: o.TCPEstablished, 7: o.ShellJob, 8: o.FileLocks,
		15: o.TrackMem, 16: o.AutoDedup, 18: o.LinkRemap, 26: o.Sibling, 46: o.TCPSkipInFlight, 48: o.LazyPages,
		50: o.OrphanPtsMaster, 52: o.TCPClose} {
		opts.flag(field, on)
	}
	opts.number(9, 4) // log_level: with debugging, for the file
	opts.text(10, o.LogFile)
	if o.PageServer != nil {
		var ps message
		ps.text(1, o.PageServer.Address)
		ps.int32(2, o.PageServer.Port)
		opts.part(11, ps)
	}
	opts.flag(12, true) // notify_scripts
	opts.text(13, o.Root)
	opts.text(14, o.ParentImg)
	opts.int32(17, o.WorkFD)
	opts.flag(24, o.Cgroups != CgroupIgnore)
	for _, root := range o.CgroupRoot {
		var r message
		r.text(1, root.Controller)
		r.text(2, root.Path)
		opts.part(25, r)
	}
	for i, in := range o.Inherit {
		var fd message
		fd.text(1, in.Key)
		fd.int32(2, inherited[i])
		opts.part(27, fd)
	}
	opts.number(34, uint64(o.Cgroups))
	for _, e := range o.External {
		opts.text(37, e)
	}
	if o.EmptyNS != 0 {
		opts.number(38, o.EmptyNS)
	}
	opts.text(44, o.FreezeCgroup)
	if o.StatusFD != 0 {
		opts.int32(49, o.StatusFD)
	}
	opts.text(51, o.ConfigFile)
	opts.text(53, o.LSMProfile)
	opts.text(60, o.CgroupYard)
	opts.text(63, o.LSMMountContext)
	if o.NetworkLock != 0 {
		opts.number(64, uint64(o.NetworkLock))
	}
	m.number(1, uint64(request))
	m.part(2, opts)
	return m
}

// response is what is wanted of a criu_resp.
type response struct {
	request Request
	success bool
	pid     int    // of what was restored
	script  string // of a notification
	init    int    // the process that a notification is about
	message string
}

var errTruncated = errors.New("an answer of CRIU is cut off")

// fields calls f with each field of a message: a number, or the bytes of a part.
func fields(m []byte, f func(field int, n uint64, part []byte) error) error {
	for len(m) > 0 {
		key, used := binary.Uvarint(m)
		if used <= 0 {
			return errTruncated
		}
		m = m[used:]
		var n uint64
		var part []byte
		switch key & 7 {
		case 0:
			if n, used = binary.Uvarint(m); used <= 0 {
				return errTruncated
			}
			m = m[used:]
		case 2:
			size, used := binary.Uvarint(m)
			if used <= 0 || size > uint64(len(m)-used) {
				return errTruncated
			}
			part, m = m[used:uint64(used)+size], m[uint64(used)+size:]
		case 1, 5:
			size := 8
			if key&7 == 5 {
				size = 4
			}
			if len(m) < size {
				return errTruncated
			}
			m = m[size:]
			continue
		default:
			return errors.New("an answer of CRIU is no protobuf message")
		}
		if err := f(int(key>>3), n, part); err != nil {
			return err
		}
	}
	return nil
}

func decode(m []byte) (r response, err error) {
	err = fields(m, func(field int, n uint64, part []byte) error {
		switch field {
		case 1:
			r.request = Request(n)
		case 2:
			r.success = n != 0
		case 4:
			return fields(part, func(field int, n uint64, _ []byte) error {
				if field == 1 {
					r.pid = int(int32(n))
				}
				return nil
			})
		case 5:
			return fields(part, func(field int, n uint64, part []byte) error {
				switch field {
				case 1:
					r.script = string(part)
				case 2:
					r.init = int(int32(n))
				}
				return nil
			})
		case 9:
			r.message = string(part)
		}
		return nil
	})
	return r, err
}
