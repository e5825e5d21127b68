package fs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// oomLog counts what the kernel's log says of the OOM killer's victims in a
// cgroup, for the case that the cgroup and its memory.events are gone: systemd
// removes a scope as soon as its last process has ended.
//
// The log is /dev/kmsg (Documentation/ABI/testing/dev-kmsg), which takes
// CAP_SYSLOG where kernel.dmesg_restrict is set. A nil oomLog says nothing.
type oomLog struct {
	fd   int
	path string // the cgroup's, as the kernel names it
	// told is how many victims were in the log.
	told uint64
}

// openOOMLog begins after what is in the log already. It returns nil where this
// process may not read the log.
func openOOMLog(path string) *oomLog {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return nil
	}
	return &oomLog{fd: fd, path: path}
}

// catchUp reads on to the end of the log. counted is how many victims
// memory.events had since the log was opened; the log may say fewer of these (it
// is kept short in a storm), and only what comes later is then told apart.
func (l *oomLog) catchUp(counted uint64) {
	if l != nil {
		l.read()
		l.told = max(l.told, counted)
	}
}

// tellsMore reads on, and says whether the log has victims beyond those counted.
func (l *oomLog) tellsMore(counted uint64) bool {
	if l == nil {
		return false
	}
	l.read()
	return l.told > counted
}

// maxRecord is the length of the longest record in bytes (PRINTK_MESSAGE_MAX).
const maxRecord = 2048

func (l *oomLog) read() {
	record := make([]byte, maxRecord)
	for {
		n, err := unix.Read(l.fd, record)
		switch {
		case err == unix.EINTR, err == unix.EPIPE:
			// EPIPE: records were overwritten; the next read gets the oldest left.
		case err != nil || n == 0:
			return
		case isVictim(record[:n], l.path):
			l.told++
		}
	}
}

func (l *oomLog) close() {
	if l != nil {
		unix.Close(l.fd)
	}
}

// isVictim tells whether a record of the kernel's log is of a process in the
// cgroup, or in one below it, that the OOM killer took:
//
//	6,733,81205,-;oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=PATH,task=NAME,pid=7,uid=0
//
// That is from mm/oom_kill.c since Linux 5.0. Records that processes wrote have
// another facility than the kernel's, 0.
func isVictim(record []byte, path string) bool {
	const kill, at = "oom-kill:", ",task_memcg="
	prefix, text, ok := bytes.Cut(record, []byte(";"))
	if !ok || !bytes.HasPrefix(text, []byte(kill)) {
		return false
	}
	priority, _, _ := bytes.Cut(prefix, []byte(","))
	const levels = 8
	if n, err := strconv.ParseUint(string(priority), 10, 32); err != nil || n >= levels {
		return false
	}
	_, text, ok = bytes.Cut(text, []byte(at+path))
	return ok && len(text) > 0 && (text[0] == '/' || text[0] == ',')
}
