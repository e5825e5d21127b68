package criu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/entry"
)

// Notification is a point that CRIU has come to: its script is "post-dump", "setup-namespaces", "post-restore",
// "orphan-pts-master" and others (https://criu.org/Action_scripts).
type Notification struct {
	Script string
	// Pid is the restored process's.
	Pid int
	// FD is the descriptor of "orphan-pts-master", or -1; it is closed afterwards.
	FD int
}

// Session is a running `criu swrk`.
type Session struct {
	// Pid is CRIU's.
	Pid    int
	socket int
	ended  bool
}

// Find returns CRIU's path.
func Find() (string, error) {
	path, err := exec.LookPath("criu")
	if err != nil {
		return "", errors.New("the program criu is not in $PATH: install CRIU (https://criu.org) to checkpoint and restore containers")
	}
	return path, nil
}

// Start starts CRIU. files are further descriptors for it: it has them from 4 on. prepare, if there is one, is called
// in a mount namespace that is CRIU's alone.
func Start(path string, files []int, prepare func() error) (*Session, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	all := []uintptr{0, 1, 2, uintptr(pair[1])}
	for _, fd := range files {
		all = append(all, uintptr(fd))
	}
	s := &Session{socket: pair[0]}
	started := make(chan error, 1)
	go func() { started <- s.fork(path, all, prepare) }()
	if err := <-started; err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	return s, nil
}

// fork runs on a thread of its own, which ends with it when it has another mount namespace than the rest.
func (s *Session) fork(path string, files []uintptr, prepare func() error) (err error) {
	if prepare != nil {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare a mount namespace for criu: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make criu's mounts slaves of the host's: %w", err)
		}
		if err := prepare(); err != nil {
			return err
		}
	}
	entry.RestoreTimerSlack()
	s.Pid, err = syscall.ForkExec(path, []string{"criu", "swrk", "3"}, &syscall.ProcAttr{Env: os.Environ(), Files: files})
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return nil
}

// Do sends the request and answers what CRIU asks on the way: handle is called at each point it comes to. It returns
// the pid of what was restored. workDir is where the log is that an error quotes.
func (s *Session) Do(request Request, o *Options, workDir string, handle func(Notification) error) (int, error) {
	inherited := make([]int, len(o.Inherit))
	for i := range inherited {
		inherited[i] = 4 + i
	}
	log := filepath.Join(workDir, o.LogFile)
	if err := unix.Sendmsg(s.socket, o.encode(request, inherited), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return 0, fmt.Errorf("criu: send the request: %w", err)
	}
	for {
		r, fd, err := s.receive()
		if err != nil {
			return 0, fmt.Errorf("criu: %w%s", err, tail(log))
		}
		if r.request != notify {
			if !r.success {
				return 0, failed(r.message, log)
			}
			return r.pid, nil
		}
		handleErr := handle(Notification{r.script, r.init, fd})
		if fd >= 0 {
			unix.Close(fd)
		}
		var answer message
		answer.number(1, uint64(notify))
		answer.number(3, boolean(handleErr == nil))
		if err := unix.Sendmsg(s.socket, answer, nil, nil, unix.MSG_NOSIGNAL); err != nil && handleErr == nil {
			return 0, fmt.Errorf("criu: answer at %s: %w%s", r.script, err, tail(log))
		}
		if handleErr != nil {
			return 0, handleErr
		}
	}
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// receive reads an answer and the descriptor that may come with it.
func (s *Session) receive() (response, int, error) {
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(s.socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return response{}, -1, err
	}
	fd := -1
	if messages, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(messages) == 1 {
		if rights, err := unix.ParseUnixRights(&messages[0]); err == nil && len(rights) == 1 {
			fd = rights[0]
		}
	}
	if n == 0 {
		return response{}, fd, errors.New("it ended without an answer")
	}
	r, err := decode(buf[:n])
	return r, fd, err
}

// Close ends CRIU, if it has not ended by itself, and waits for it.
func (s *Session) Close() {
	if s.ended {
		return
	}
	s.ended = true
	unix.Close(s.socket)
	for {
		if _, err := unix.Wait4(s.Pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// failed words CRIU's failure: by its log, which says more than its answer, where there is one.
func failed(message, log string) error {
	if logged := tail(log); logged != "" {
		return fmt.Errorf("criu failed%s", logged)
	}
	if message == "" {
		message = "it does not say why"
	}
	return fmt.Errorf("criu failed: %s", message)
}

// tailLines is how many lines of CRIU's log an error shows at most.
const tailLines = 8

// tail returns the errors at the end of CRIU's log, and its name.
func tail(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-(64<<10)), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if _, said, ok := strings.Cut(line, "Error ("); ok {
			if _, what, ok := strings.Cut(said, "): "); ok {
				said = what
			}
			found = append(found, strings.TrimSpace(said))
		}
	}
	if len(found) > tailLines {
		found = found[len(found)-tailLines:]
	}
	if len(found) == 0 {
		return ": see " + log
	}
	return ": " + strings.Join(found, "; ") + " (" + log + ")"
}
