package cli

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// Severities of syslog(3), which the journal shares.
func severity(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

// identifier is what the messages stand under: what follows the colon, or
// berth.
func identifier(name string) string {
	if name == "" {
		return "berth"
	}
	return name
}

// openJournal writes to systemd's journal (--log journald:[IDENTIFIER]).
func (l *logger) openJournal(name string) error {
	if !journal.Enabled() {
		return fmt.Errorf("--log journald: systemd's journal does not listen on this host: name a file")
	}
	fields := map[string]string{"SYSLOG_IDENTIFIER": identifier(name)}
	l.sink = func(level slog.Level, msg string) error {
		return journal.Send(msg, journal.Priority(severity(level)), fields)
	}
	return nil
}

// syslogSocket is where the host's syslog daemon listens.
const syslogSocket = "/dev/log"

// syslogUser is the facility "user" of syslog(3).
const syslogUser = 1 << 3

// openSyslog writes to the host's syslog daemon (--log syslog:[IDENTIFIER]), in
// the form that its local socket takes: <priority>time identifier[pid]: text.
func (l *logger) openSyslog(name string) error {
	conn, err := net.Dial("unixgram", syslogSocket)
	if err != nil {
		return fmt.Errorf("--log syslog: %w: no syslog daemon listens on this host: name a file", err)
	}
	l.sink = func(level slog.Level, msg string) error {
		_, err := fmt.Fprintf(conn, "<%d>%s %s[%d]: %s", syslogUser|severity(level), time.Now().Format(time.Stamp), identifier(name), os.Getpid(), msg)
		return err
	}
	return nil
}
