package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"berth/cgroups/devices"

	"golang.org/x/sys/unix"
)

// attachAttr is the part of union bpf_attr that BPF_PROG_ATTACH and
// BPF_PROG_DETACH need.
type attachAttr struct {
	target  uint32
	program uint32
	kind    uint32
	flags   uint32
	replace uint32
}

// queryAttr is the part of union bpf_attr that BPF_PROG_QUERY needs.
type queryAttr struct {
	target  uint32
	kind    uint32
	query   uint32
	flags   uint32
	ids     uint64 // address
	count   uint32
	padding uint32
}

// infoAttr is the part of union bpf_attr that BPF_OBJ_GET_INFO_BY_FD needs.
type infoAttr struct {
	program uint32
	size    uint32
	info    uint64 // address
}

// programInfo is struct bpf_prog_info of linux/bpf.h up to the name; the kernel
// fills in as much as it is given room for.
type programInfo struct {
	_    [2]uint32 // type, id
	_    [8]byte   // tag
	_    [2]uint32 // jited_prog_len, xlated_prog_len
	_    [3]uint64 // jited_prog_insns, xlated_prog_insns, load_time
	_    [2]uint32 // created_by_uid, nr_map_ids
	_    uint64    // map_ids
	name [unix.BPF_OBJ_NAME_LEN]byte
}

// maxPrograms is how many programs of a type a cgroup can have
// (BPF_CGROUP_MAX_PROGS in linux/bpf-cgroup.h).
const maxPrograms = 64

// Apply makes f the device filter of the cgroup whose folder in the v2
// hierarchy dir is open on. A filter that berth attached before is replaced in
// one step: at no moment is the cgroup without one, nor under both. With a
// filter that lets everything through, ours is detached.
//
// On failure the cgroup is as it was, and nothing stays loaded.
func Apply(dir int, f *devices.Filter) error {
	if f.Unrestricted() {
		err := Detach(dir)
		if errors.Is(err, unix.EPERM) {
			// Who may not ask for the programs could not have attached any,
			// and nothing is to be attached now.
			return nil
		}
		return err
	}
	old, err := ours(dir)
	if err != nil {
		return err
	}
	defer closeAll(old)
	code, err := devices.Encode(devices.Program(f))
	if err != nil {
		return err
	}
	fd, err := load(code)
	if err != nil {
		return err
	}
	// An attached program lives as long as its cgroup, without a descriptor.
	err = attach(dir, fd, old)
	return errors.Join(err, closeFD(fd))
}

// Detach removes the filters that berth attached to the cgroup, if any.
// Removing the cgroup does it as well.
func Detach(dir int) error {
	old, err := ours(dir)
	if err != nil {
		return err
	}
	defer closeAll(old)
	return detach(dir, old)
}

// attach puts the program in place of old, of which there is more than one only
// if an earlier berth was killed between its steps.
func attach(dir, program int, old []int) error {
	attr := attachAttr{target: uint32(dir), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI}
	if len(old) > 0 {
		attr.flags |= unix.BPF_F_REPLACE
		attr.replace = uint32(old[0])
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("attach the device filter: bpf(BPF_PROG_ATTACH): %w: a program that tolerates no other (one without BPF_F_ALLOW_MULTI) is attached to this cgroup or to one above it (see `bpftool cgroup tree`), or CAP_NET_ADMIN is missing", err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("attach the device filter: bpf(BPF_PROG_ATTACH): %w: the cgroup has %d device programs already (see `bpftool cgroup tree`)", err, maxPrograms)
	case err != nil:
		return fmt.Errorf("attach the device filter: bpf(BPF_PROG_ATTACH): %w", err)
	case len(old) > 1:
		return detach(dir, old[1:])
	}
	return nil
}

func detach(dir int, programs []int) error {
	var problems []error
	for _, fd := range programs {
		attr := attachAttr{target: uint32(dir), program: uint32(fd), kind: unix.BPF_CGROUP_DEVICE}
		if _, err := bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil && !errors.Is(err, unix.ENOENT) {
			problems = append(problems, fmt.Errorf("detach the old device filter: bpf(BPF_PROG_DETACH): %w", err))
		}
	}
	return errors.Join(problems...)
}

// ours opens the programs on the cgroup that have our name.
func ours(dir int) ([]int, error) {
	ids, err := attached(dir)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, id := range ids {
		fd, mine, err := open(id)
		if err != nil {
			closeAll(list)
			return nil, err
		}
		if mine {
			list = append(list, fd)
		}
	}
	return list, nil
}

// attached lists the ids of the device programs on the cgroup itself.
func attached(dir int) ([]uint32, error) {
	ids := new([maxPrograms]uint32)
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := queryAttr{target: uint32(dir), kind: unix.BPF_CGROUP_DEVICE, ids: pinned(&pin, ids), count: maxPrograms}
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("look for the cgroup's device filter: bpf(BPF_PROG_QUERY): %w: it needs CAP_NET_ADMIN in the initial user namespace", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("look for the cgroup's device filter: bpf(BPF_PROG_QUERY): %w: the kernel is built without CONFIG_CGROUP_BPF", err)
	case errors.Is(err, unix.EBADF):
		return nil, fmt.Errorf("look for the cgroup's device filter: bpf(BPF_PROG_QUERY): %w: this is no folder of a cgroup v2 hierarchy", err)
	case err != nil:
		return nil, fmt.Errorf("look for the cgroup's device filter: bpf(BPF_PROG_QUERY): %w", err)
	}
	return ids[:attr.count], nil
}

// open opens the program with this id if it has our name. One that is gone by
// now has not.
func open(id uint32) (fd int, mine bool, err error) {
	fd, err = bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&id), unsafe.Sizeof(id))
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, false, nil
	case errors.Is(err, unix.EPERM):
		return -1, false, fmt.Errorf("open the device program %d: bpf(BPF_PROG_GET_FD_BY_ID): %w: it needs CAP_SYS_ADMIN in the initial user namespace", id, err)
	case err != nil:
		return -1, false, fmt.Errorf("open the device program %d: bpf(BPF_PROG_GET_FD_BY_ID): %w", id, err)
	}
	info := new(programInfo)
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := infoAttr{program: uint32(fd), size: uint32(unsafe.Sizeof(*info)), info: pinned(&pin, info)}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return -1, false, errors.Join(fmt.Errorf("read the name of the device program %d: bpf(BPF_OBJ_GET_INFO_BY_FD): %w", id, err), closeFD(fd))
	}
	name, _, _ := bytes.Cut(info.name[:], []byte{0})
	if string(name) == ProgramName {
		return fd, true, nil
	}
	return -1, false, closeFD(fd)
}

// closeAll closes descriptors of programs, which cannot fail but for one that
// is not open.
func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
