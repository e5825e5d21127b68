package nsenter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// reportBytes builds a report as the executor does.
func reportBytes(kind, step, errno, aux uint32, detail string) []byte {
	b := make([]byte, plan.ReportSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], kind)
	le.PutUint32(b[4:], step)
	le.PutUint32(b[8:], errno)
	le.PutUint32(b[12:], aux)
	copy(b[16:], detail)
	return b
}

func onePlan() *plan.Plan {
	p := &plan.Plan{}
	p.Add(plan.At("hostname"), plan.Sethostname{Name: "x"})
	p.Add(plan.Origin{Field: "mounts", Index: 3, Name: "/data"}, plan.OpenTree{Path: "/srv/data"})
	return p
}

// fakeExecutor returns a process whose other end is in the test's hands.
func fakeExecutor(t *testing.T) (*Process, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{plan: onePlan(), PidFD: -1, socket: pair[0]}
	t.Cleanup(func() { p.Close(); unix.Close(pair[1]) })
	return p, pair[1]
}

func send(t *testing.T, socket int, data []byte, fds ...int) {
	t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(socket, data, oob, nil, 0); err != nil {
		t.Fatal(err)
	}
}

// openFDs counts this process's descriptors.
func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestRecvSync(t *testing.T) {
	p, executor := fakeExecutor(t)
	send(t, executor, reportBytes(plan.ReportSync, 1, 0, uint32(plan.PointHooks), "stale"))
	r, err := p.Recv()
	if err != nil || r.Point != plan.PointHooks || r.FD != -1 {
		t.Errorf("without a descriptor: got %+v, %v", r, err)
	}
	file := openTemp(t, "text")
	send(t, executor, reportBytes(plan.ReportSync, 1, 0, uint32(plan.PointConsole), ""), file)
	r, err = p.Recv()
	if err != nil || r.Point != plan.PointConsole || r.FD < 0 {
		t.Fatalf("with a descriptor: got %+v, %v", r, err)
	}
	defer unix.Close(r.FD)
	if flags, err := unix.FcntlInt(uintptr(r.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor would be inherited: flags %#x, %v", flags, err)
	}
	text := make([]byte, 8)
	if n, err := unix.Pread(r.FD, text, 0); err != nil || string(text[:n]) != "text" {
		t.Errorf("the descriptor is another file: %q, %v", text[:n], err)
	}
}

func openTemp(t *testing.T, text string) int {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return int(f.Fd())
}

func TestRecvFailure(t *testing.T) {
	p, executor := fakeExecutor(t)
	send(t, executor, reportBytes(plan.ReportFailed, 1, uint32(unix.EIO), 0, "open_tree /srv/data"))
	_, err := p.Recv()
	var step *StepError
	if !errors.As(err, &step) || !errors.Is(err, unix.EIO) {
		t.Fatalf("got %v", err)
	}
	if want := "mounts[3] (/data): open_tree /srv/data: input/output error"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// The executor closes its end when it has become the container's process.
func TestRecvEnd(t *testing.T) {
	for _, unread := range []bool{false, true} {
		p, executor := fakeExecutor(t)
		if unread { // ECONNRESET in place of an end of file
			if err := p.Answer(plan.PointCreated, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Close(executor); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("an answer unread %v: got %v", unread, err)
		}
	}
}

// An executor that fails before it reads an answer given ahead of time is heard
// all the same.
func TestRecvFailureWithAnswerUnread(t *testing.T) {
	p, executor := fakeExecutor(t)
	for range 2 {
		if err := p.Answer(plan.PointCgroup, nil); err != nil {
			t.Fatal(err)
		}
	}
	send(t, executor, reportBytes(plan.ReportFailed, 0, uint32(unix.EPERM), 0, "sethostname"))
	if err := unix.Close(executor); err != nil {
		t.Fatal(err)
	}
	if err := p.Answer(plan.PointSeccomp, nil); err != nil {
		t.Errorf("an answer to who has ended: %v", err)
	}
	if _, err := p.Recv(); err == nil || err.Error() != "hostname: sethostname: operation not permitted" {
		t.Errorf("got %v", err)
	}
	if _, err := p.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then: got %v", err)
	}
}

// Failed does not wait: nothing may have happened, or the end.
func TestFailed(t *testing.T) {
	p, executor := fakeExecutor(t)
	if err := p.Failed(); err != nil {
		t.Errorf("at work: %v", err)
	}
	send(t, executor, reportBytes(plan.ReportFailed, 1, uint32(unix.EACCES), 0, "open_tree /srv/data"))
	if err := p.Failed(); !errors.Is(err, unix.EACCES) {
		t.Errorf("failed: %v", err)
	}
	if err := p.Failed(); err != nil {
		t.Errorf("told: %v", err)
	}
	if err := unix.Close(executor); err != nil {
		t.Fatal(err)
	}
	if err := p.Failed(); !errors.Is(err, io.EOF) {
		t.Errorf("ended: %v", err)
	}
}

// What is no report is refused, and descriptors that came along do not stay
// open.
func TestRecvDamaged(t *testing.T) {
	sync := reportBytes(plan.ReportSync, 0, 0, 1, "")
	for name, c := range map[string]struct {
		data []byte
		fds  int
		want string
	}{
		"too short":        {sync[:100], 1, "a report of 100 bytes, not 528"},
		"too long":         {append(sync, make([]byte, 100)...), 0, ""}, // cut by the kernel, as packets are
		"unknown kind":     {reportBytes(77, 0, 0, 0, ""), 1, "unknown kind 77"},
		"kind 0":           {make([]byte, plan.ReportSize), 1, "unknown kind 0"},
		"two descriptors":  {sync, 2, "receive a descriptor"},
		"many descriptors": {sync, 100, "receive"},
		"refused plan":     {reportBytes(plan.ReportBad, 0, 0, 0, "step 3: damaged field"), 0, "the executor refuses its plan, which is a fault of berth's: step 3: damaged field"},
		"failure with fd":  {reportBytes(plan.ReportFailed, 0, 1, 0, "x"), 1, "hostname: x: operation not permitted"},
		"unknown step":     {reportBytes(plan.ReportFailed, 0xffffffff, 2, 0xffffffff, "x"), 0, "x: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			p, executor := fakeExecutor(t)
			file := openTemp(t, "")
			before := openFDs(t)
			fds := make([]int, c.fds)
			for i := range fds {
				fds[i] = file
			}
			send(t, executor, c.data, fds...)
			r, err := p.Recv()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || r.FD != -1 {
				t.Errorf("got %+v, %v, want %q", r, err, c.want)
			}
			if after := openFDs(t); after != before {
				t.Errorf("%d descriptors are open, and %d were before", after, before)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	p, executor := fakeExecutor(t)
	files := []int{openTemp(t, "a"), openTemp(t, "b")}
	if err := p.Answer(plan.PointCreated, []byte("HOME=/root"), files...); err != nil {
		t.Fatal(err)
	}
	buf, oob := make([]byte, plan.ReplySize), make([]byte, unix.CmsgSpace(8))
	n, oobn, _, _, err := unix.Recvmsg(executor, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	want := binary.LittleEndian.AppendUint32(nil, uint32(plan.PointCreated))
	want = le.AppendUint32(le.AppendUint32(le.AppendUint32(want, 10), 2), 0)
	if !bytes.Equal(buf[:n], append(want, "HOME=/root"...)) {
		t.Errorf("got % x", buf[:n])
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("got %v, %v", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		t.Fatalf("got %v, %v", fds, err)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func TestAnswerRefuses(t *testing.T) {
	p, executor := fakeExecutor(t)
	if err := p.Answer(plan.PointCreated, make([]byte, plan.ReplyData)); err != nil {
		t.Errorf("as much as fits: %v", err)
	}
	if err := p.Answer(plan.PointCreated, make([]byte, plan.ReplyData+1)); err == nil {
		t.Error("more than fits is sent")
	}
	// The executor has ended: what its report says is what matters, not that
	// nobody heard the answer. After the last answer there is none.
	if err := unix.Close(executor); err != nil {
		t.Fatal(err)
	}
	if err := p.Answer(plan.PointSeccomp, nil); err != nil {
		t.Errorf("to an executor that has ended: %v", err)
	}
	if err := p.Answer(plan.PointCreated, nil); !errors.Is(err, io.EOF) {
		t.Errorf("the last answer, to an executor that has ended: %v", err)
	}
	p.Close()
	if err := p.Answer(plan.PointCreated, nil); err == nil || !strings.HasPrefix(err.Error(), "answer the executor at created: ") {
		t.Errorf("on a closed socket: %v", err)
	}
}

// A report that start reads: the plan is gone, but the last operations can be
// told by their codes.
func TestDecodeFailure(t *testing.T) {
	for code, want := range map[plan.Code]string{
		plan.CodeExecve:    "process.args: x: permission denied",
		plan.CodeSeccomp:   "linux.seccomp: x: permission denied",
		plan.CodeWaitStart: "process: x: permission denied",
		plan.CodeFork:      "x: permission denied",
	} {
		err := DecodeFailure(reportBytes(plan.ReportFailed, 5, uint32(unix.EACCES), uint32(code), "x"))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", code, err, want)
		}
	}
	for _, data := range [][]byte{nil, {1}, reportBytes(plan.ReportSync, 0, 0, 0, "")} {
		if err := DecodeFailure(data); err == nil {
			t.Errorf("%d bytes that tell no failure pass", len(data))
		}
	}
}

// An image chooses the names of its files: they do not get to write to the
// terminal of who reads an error, nor to make a second line.
func TestDetailIsPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"open /srv/data":           "open /srv/data",
		`write "0-1" to cpus`:      `write "0-1" to cpus`,
		"chown größe":              "chown größe",
		"open a\nlevel=info msg=b": `open a\nlevel=info msg=b`,
		"open \x1b[2J":             `open \x1b[2J`,
		"open \xff\xfe":            `open \xff\xfe`,
		"open \u202e\"q\"":         `open \u202e"q"`,
	} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// Whatever comes, a report is a point or an error of one printable line.
func FuzzReport(f *testing.F) {
	f.Add(reportBytes(plan.ReportSync, 1, 0, 7, ""))
	f.Add(reportBytes(plan.ReportFailed, 0, 2, 1, "fchdir\x1b[0m\n"))
	f.Add(reportBytes(plan.ReportFailed, 0xffffffff, 0xffffffff, 0xffffffff, strings.Repeat("x", plan.ReportDetail)))
	f.Add(reportBytes(plan.ReportBad, 0, 0, 0, "step"))
	f.Add(reportBytes(plan.ReportListener, 0, 0, 5, ""))
	f.Add([]byte{})
	p := onePlan()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []*plan.Plan{p, nil} {
			point, err := decodeReport(p, data)
			if err == nil {
				kind := uint32(0)
				if len(data) == plan.ReportSize {
					kind = binary.LittleEndian.Uint32(data)
				}
				if kind != plan.ReportSync && (kind != plan.ReportListener || point != plan.PointListener) || point.String() == "" {
					t.Errorf("% x is taken for point %d", data, point)
				}
				continue
			}
			text := err.Error()
			if text == "" || strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
				t.Errorf("%q", text)
			}
		}
	})
}

// Of what the kernel puts beside a report, the one descriptor and the sender
// matter; anything more is refused.
func TestParseControl(t *testing.T) {
	rights := func(fds ...int) []byte { return unix.UnixRights(fds...) }
	credentials := unix.UnixCredentials(&unix.Ucred{Pid: 42})
	other := rights(1 << 20)
	binary.NativeEndian.PutUint32(other[8:], unix.SOL_IP) // the level
	for _, c := range []struct {
		oob  []byte
		want control
		ok   bool
	}{
		{nil, control{fd: -1}, true},
		{rights(1 << 20), control{fd: 1 << 20}, true},
		{credentials, control{fd: -1, sender: 42}, true},
		{append(append([]byte{}, credentials...), rights(1<<20)...), control{fd: 1 << 20, sender: 42}, true},
		{other, control{fd: -1}, true},
		{rights(1<<20, 1<<20+1), control{fd: -1}, false},
		{append(rights(1<<20), rights(1<<20)...), control{fd: 1 << 20}, false},
		{rights(1 << 20)[:17], control{fd: -1}, false},
	} {
		if got, err := parseControl(c.oob); got != c.want || (err == nil) != c.ok {
			t.Errorf("% x: got %+v, %v, want %+v", c.oob, got, err, c.want)
		}
	}
}

func TestStepErrorUnwraps(t *testing.T) {
	err := error(&StepError{Op: plan.Fork{}, Errno: syscall.EAGAIN, Detail: "clone"})
	if !errors.Is(err, unix.EAGAIN) || err.Error() != "clone: resource temporarily unavailable" {
		t.Errorf("got %v", err)
	}
}
