package seccomp

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Program is what seccomp(2) needs.
type Program struct {
	// Filter is an array of struct sock_filter in this machine's byte order: 8
	// bytes an instruction, at most 4096 instructions.
	Filter []byte
	// Flags are the SECCOMP_FILTER_FLAG_* for SECCOMP_SET_MODE_FILTER. With
	// Notify they hold NEW_LISTENER, and seccomp(2) returns the descriptor.
	Flags uint32
	// Notify says that SCMP_ACT_NOTIFY is used: the descriptor goes to
	// linux.seccomp.listenerPath (SendNotifyFD).
	Notify bool
	// Notes are for the debug log: system calls that libseccomp does not know,
	// architectures that this machine does not have.
	Notes []string
}

// tell gives the notes to a debug log, which may be nil.
func (p *Program) tell(log func(msg string)) {
	if log == nil {
		return
	}
	for _, note := range p.Notes {
		log(note)
	}
}

// Compile makes the program of a profile: see the package comment for how, and
// for what the words of the profile mean. It changes nothing on the host.
//
// log, which may be nil, gets the program's notes.
//
// An error starts with the place in config.json ("linux.seccomp.flags[0]: …")
// and says what to do. The caller checks that linux.seccomp.listenerPath is set
// when Notify is: it may have another receiver.
func Compile(p *specs.LinuxSeccomp, log func(msg string)) (*Program, error) {
	program, err := compile(p)
	if err != nil {
		return nil, err
	}
	program.tell(log)
	return program, nil
}

// wrongArch is libseccomp's SCMP_FLTATR_ACT_BADARCH default, which runc and crun
// keep.
const wrongArch = unix.SECCOMP_RET_KILL_THREAD

// ownProgram lays the program out by this package's own means.
func ownProgram(prof *profile, calls [][]call) ([]insn, error) {
	groups, programs, err := layout(prof, calls)
	if err != nil {
		return nil, err
	}
	return assemble(groups, programs, wrongArch), nil
}

// compileFor is Compile for any machine, source of numbers, and writer of the
// program.
func compileFor(m machine, find func(arch) (lookup, error), write func(*profile, [][]call) ([]insn, error),
	p *specs.LinuxSeccomp) (*Program, error) {
	prof, calls, notes, err := understand(m, find, p)
	if err != nil {
		return nil, err
	}
	code, err := write(prof, calls)
	if err != nil {
		return nil, err
	}
	if len(code) > maxInsns {
		return nil, tooLong(len(code))
	}
	return &Program{Filter: encode(code), Flags: prof.flags, Notify: prof.notify, Notes: notes}, nil
}

// understand reads a profile and looks its system calls up, and notes what is
// passed over of it.
func understand(m machine, find func(arch) (lookup, error), p *specs.LinuxSeccomp) (*profile, [][]call, []string, error) {
	prof, notes, problems := parse(p, m)
	if len(problems) > 0 {
		return nil, nil, nil, problems[0]
	}
	if err := supported(prof.flags); err != nil {
		return nil, nil, nil, err
	}
	calls, unknown, err := resolve(prof, find)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(unknown) > 0 {
		notes = append(notes, fmt.Sprintf("linux.seccomp.syscalls: libseccomp %s does not know these system calls, skipped: %s",
			LibraryVersion(), strings.Join(unknown, ", ")))
	}
	return prof, calls, notes, nil
}

func tooLong(insns int) error {
	return fmt.Errorf("linux.seccomp: the profile needs at least %d BPF instructions, the kernel takes %d (BPF_MAXINSNS): "+
		"use fewer entries with args, or fewer architectures", insns, maxInsns)
}

// supported checks the one flag that a kernel since 5.10 may lack.
func supported(flags uint32) error {
	const killable = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if flags&killable != 0 && !flagSupported(killable) {
		return fmt.Errorf("linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19: remove it, or use a newer kernel")
	}
	return nil
}
