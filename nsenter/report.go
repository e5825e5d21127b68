package nsenter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// Report is what the executor says: that it waits at a point, or that it
// failed.
type Report struct {
	Point plan.Point // where it waits
	FD    int        // the descriptor that came along, or -1
}

// StepError is a failed operation of a plan.
type StepError struct {
	Op     plan.Op     // what was being done
	Origin plan.Origin // the place in config.json that asked for it
	Errno  syscall.Errno
	Detail string // the system call and what it was called on
}

// Error returns origin, system call and cause in one line.
func (e *StepError) Error() string {
	var b strings.Builder
	if e.Origin.Field != "" {
		b.WriteString(e.Origin.String() + ": ")
	}
	if e.Detail != "" {
		b.WriteString(e.Detail + ": ")
	}
	b.WriteString(e.cause())
	return b.String()
}

// Unwrap returns the error number.
func (e *StepError) Unwrap() error { return e.Errno }

// Recv waits for the executor's next report. io.EOF means that it has closed
// the socket: it has become the container's process, or waits for start. A
// failed operation is a *StepError.
func (p *Process) Recv() (Report, error) { return p.recv(0) }

// Failed returns what the executor has failed at, if it has said so by now, and io.EOF if it
// has ended without a word; nil otherwise. It does not wait, and is for where the executor
// has nothing else to say.
func (p *Process) Failed() error {
	report, err := p.recv(unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err == nil && report.FD >= 0:
		unix.Close(report.FD)
	}
	return err
}

func (p *Process) recv(flags int) (Report, error) {
	buf := make([]byte, plan.ReportSize)
	oob := make([]byte, unix.CmsgSpace(4)+unix.CmsgSpace(unix.SizeofUcred))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(p.socket, buf, oob, unix.MSG_CMSG_CLOEXEC|flags)
		// ECONNRESET is told once, before what it has sent: it ended with an
		// answer of ours unread.
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNRESET) {
			break
		}
	}
	switch {
	case err != nil:
		return Report{FD: -1}, fmt.Errorf("receive the executor's report: %w", err)
	case n == 0:
		return Report{FD: -1}, io.EOF
	}
	came, err := parseControl(oob[:oobn])
	var point plan.Point
	if err == nil {
		err = p.adopt(came.sender)
	}
	if err == nil {
		point, err = decodeReport(p.plan, buf[:n])
	}
	if err == nil && point == plan.PointListener {
		came.fd, err = p.listener(buf)
	}
	if err != nil {
		if came.fd >= 0 {
			unix.Close(came.fd)
		}
		return Report{FD: -1}, err
	}
	return Report{Point: point, FD: came.fd}, nil
}

// listener takes a copy of the descriptor that a report names. That takes the
// right to trace the process; pidfd_getfd(2).
func (p *Process) listener(report []byte) (int, error) {
	number := binary.LittleEndian.Uint32(report[12:])
	fd, err := unix.PidfdGetfd(p.PidFD, int(number), 0)
	if err != nil {
		return -1, fmt.Errorf("linux.seccomp: take the listener of SCMP_ACT_NOTIFY from the process: pidfd_getfd: %w", err)
	}
	return fd, nil
}

// DecodeFailure returns the failure in a report that came after start, when
// the plan is no longer at hand: only its last operations can have failed.
func DecodeFailure(data []byte) error {
	_, err := decodeReport(nil, data)
	if err == nil {
		return errors.New("the executor sent a report that tells no failure")
	}
	return err
}

// lastOps names the operations that come after start, by their code.
func (e *StepError) lastOps(code plan.Code) {
	switch code {
	case plan.CodeExecve:
		e.Op, e.Origin = plan.Execve{}, plan.At("process.args")
	case plan.CodeRlimit:
		e.Op, e.Origin = plan.Rlimit{}, plan.At("process.rlimits")
	case plan.CodeSeccomp:
		e.Op, e.Origin = plan.Seccomp{}, plan.At("linux.seccomp")
	case plan.CodeWaitStart:
		e.Op, e.Origin = plan.WaitStart{}, plan.At("process")
	}
}

// decodeReport returns the point where the executor waits, or what failed as
// an error.
func decodeReport(p *plan.Plan, b []byte) (plan.Point, error) {
	if len(b) != plan.ReportSize {
		return 0, fmt.Errorf("the executor sent a report of %d bytes, not %d", len(b), plan.ReportSize)
	}
	le := binary.LittleEndian
	kind, step, errno, aux := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	detail, _, _ := bytes.Cut(b[16:], []byte{0})
	switch kind {
	case plan.ReportSync:
		return plan.Point(aux), nil
	case plan.ReportListener:
		return plan.PointListener, nil
	case plan.ReportBad:
		return 0, fmt.Errorf("the executor refuses its plan, which is a fault of berth's: %s", printable(detail))
	case plan.ReportFailed:
	default:
		return 0, fmt.Errorf("the executor sent a report of unknown kind %d", kind)
	}
	e := &StepError{Errno: syscall.Errno(errno), Detail: printable(detail)}
	if p != nil && uint64(step) < uint64(len(p.Steps)) {
		e.Op, e.Origin = p.Steps[step].Op, p.Steps[step].Origin
	} else {
		e.lastOps(plan.Code(aux))
	}
	return 0, e
}

// printable returns what the executor says on one line that can be shown to a
// terminal: it may have in it what an image calls its files.
func printable(detail []byte) string {
	text := string(detail)
	if utf8.ValidString(text) && strings.IndexFunc(text, isControl) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func isControl(r rune) bool { return !unicode.IsPrint(r) }

// Answer lets the executor go on from a point, with data and descriptors for
// it. It may be given before the executor gets there. One that has ended is told of by Recv;
// after the last point nobody asks Recv for that, so there it is io.EOF.
func (p *Process) Answer(point plan.Point, data []byte, fds ...int) error {
	if len(data) > plan.ReplyData {
		return fmt.Errorf("answer at %s: %d bytes are more than the %d that fit", point, len(data), plan.ReplyData)
	}
	msg := make([]byte, plan.ReplyHead, plan.ReplyHead+len(data))
	le := binary.LittleEndian
	le.PutUint32(msg[0:], uint32(point))
	le.PutUint32(msg[4:], uint32(len(data)))
	le.PutUint32(msg[8:], uint32(len(fds)))
	msg = append(msg, data...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	err := unix.Sendmsg(p.socket, msg, oob, nil, unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		if point == plan.PointCreated {
			return io.EOF
		}
		return nil // its report, which Recv returns, says why
	}
	if err != nil {
		return fmt.Errorf("answer the executor at %s: %w", point, err)
	}
	return nil
}

// Close lets go of the socket and the pidfd. An executor that still waits for
// an answer ends itself.
func (p *Process) Close() {
	if p.socket >= 0 {
		unix.Close(p.socket)
		p.socket = -1
	}
	if p.PidFD >= 0 {
		unix.Close(p.PidFD)
		p.PidFD = -1
	}
}

// Kill ends the process and reaps it.
func (p *Process) Kill() error {
	if p.reaped {
		return nil // its number may be another process's by now
	}
	if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill %d: %w", p.Pid, err)
	}
	_, err := p.Wait()
	if errors.Is(err, unix.ECHILD) {
		return nil
	}
	return err
}

// Wait reaps the process and returns how it ended.
func (p *Process) Wait() (unix.WaitStatus, error) {
	for !p.reaped {
		_, err := unix.Wait4(p.Pid, &p.status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for %d: %w", p.Pid, err)
		}
		p.reaped = true
	}
	return p.status, nil
}
