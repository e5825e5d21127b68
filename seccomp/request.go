package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The generator is asked with a Key, which holds all that a program depends on,
// and answers with a reply.

// reply is either a program or what is wrong with the profile.
type reply struct {
	problem string
	program *Program
}

// Generate answers a request, for the generator: a reply, as Compile would have
// it here. An error is none that the profile has.
func Generate(request []byte) ([]byte, error) {
	p, err := decodeKey(request)
	if err != nil {
		return nil, err
	}
	var r reply
	r.program, err = Compile(p, nil)
	if err != nil {
		r.problem = err.Error()
	}
	return encodeReply(&r), nil
}

func encodeReply(r *reply) []byte {
	k := Key{}.text(r.problem)
	if r.problem != "" {
		return k
	}
	k = k.number(uint64(len(r.program.Notes)))
	for _, note := range r.program.Notes {
		k = k.text(note)
	}
	k = k.number(uint64(r.program.Flags))
	notify := uint64(0)
	if r.program.Notify {
		notify = 1
	}
	return append(k.number(notify), r.program.Filter...)
}

func decodeReply(data []byte) (*reply, error) {
	r, d := &reply{}, decoder{rest: data}
	if r.problem = d.text(); r.problem != "" {
		if d.bad || len(d.rest) > 0 {
			return nil, errors.New("its answer is garbled")
		}
		return r, nil
	}
	r.program = &Program{}
	for n := d.count(); n > 0; n-- {
		r.program.Notes = append(r.program.Notes, d.text())
	}
	flags, notify, n := d.number(), d.number(), len(d.rest)
	if d.bad || flags > uint64(^uint32(0)) || notify > 1 || n == 0 || n%insnSize != 0 || n > maxInsns*insnSize {
		return nil, errors.New("its answer is garbled")
	}
	r.program.Flags, r.program.Notify, r.program.Filter = uint32(flags), notify == 1, d.rest
	return r, nil
}

// decodeKey gives the profile of a key that NewKey made for this very program, or
// for one whose generator this is.
func decodeKey(k Key) (*specs.LinuxSeccomp, error) {
	d := decoder{rest: k}
	format, goarch, by, version := d.number(), d.text(), d.text(), d.text()
	_ = d.text() // the kernel's release
	if d.bad || format != formatVersion || goarch != runtime.GOARCH || by != generator || version != LibraryVersion() {
		return nil, fmt.Errorf("the request is another berth's: format %d for %d, %q for %q, %q for %q, version %q for %q",
			format, formatVersion, goarch, runtime.GOARCH, by, generator, version, LibraryVersion())
	}
	p := &specs.LinuxSeccomp{DefaultAction: specs.LinuxSeccompAction(d.text()), DefaultErrnoRet: d.optional()}
	for n := d.count(); n > 0; n-- {
		p.Architectures = append(p.Architectures, specs.Arch(d.text()))
	}
	if d.number() == 1 {
		p.Flags = []specs.LinuxSeccompFlag{}
	}
	for n := d.count(); n > 0; n-- {
		p.Flags = append(p.Flags, specs.LinuxSeccompFlag(d.text()))
	}
	for n := d.count(); n > 0; n-- {
		p.Syscalls = append(p.Syscalls, d.syscall())
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errors.New("the request is garbled")
	}
	return p, nil
}

// decoder takes apart what the methods of Key put together. After bad is set, all
// that it gives is empty.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if d.bad || size <= 0 || size > 1 && d.rest[size-1] == 0 { // a number is written in one way
		d.bad = true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count is the number of things that follow, of at least one byte each.
func (d *decoder) count() uint64 {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) text() string {
	n := d.count()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) optional() *uint {
	if d.number() == 0 {
		return nil
	}
	n := uint(d.number())
	return &n
}

func (d *decoder) syscall() (s specs.LinuxSyscall) {
	for n := d.count(); n > 0; n-- {
		s.Names = append(s.Names, d.text())
	}
	s.Action, s.ErrnoRet = specs.LinuxSeccompAction(d.text()), d.optional()
	for n := d.count(); n > 0; n-- {
		s.Args = append(s.Args, specs.LinuxSeccompArg{
			Index: uint(d.number()), Value: d.number(), ValueTwo: d.number(), Op: specs.LinuxSeccompOperator(d.text()),
		})
	}
	return s
}
