package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// logger writes to standard error, or where --log says.
type logger struct {
	// sink takes a message; nil for none but standard error.
	sink  func(level slog.Level, msg string) error
	level slog.Level
}

func logLevel(c *cli.Command) string {
	if value[bool](c, "debug") {
		return "debug"
	}
	return value[string](c, "log-level")
}

func (l *logger) open(path, format, level string) error {
	l.level = slog.LevelInfo
	if level != "" {
		parsed, ok := parseLevel(level)
		if !ok {
			return fmt.Errorf("--log-level %q: use debug, info, warning or error", level)
		}
		l.level = parsed
	}
	if format != "text" && format != "json" {
		return fmt.Errorf("--log-format %q: use text or json", format)
	}
	kind, rest, hasKind := strings.Cut(path, ":")
	switch {
	case path == "":
		return nil
	case hasKind && kind == "file":
		path = rest
	case hasKind && kind == "journald":
		return l.openJournal(rest)
	case hasKind && kind == "syslog":
		return l.openSyslog(rest)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	handler := newHandler(file, format, l.level)
	l.sink = func(level slog.Level, msg string) error {
		return handler.Handle(context.Background(), slog.NewRecord(time.Now(), level, msg, 0))
	}
	return nil
}

func parseLevel(s string) (slog.Level, bool) {
	switch strings.ToLower(s) {
	case "debug", "trace":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "error", "fatal", "panic":
		return slog.LevelError, true
	}
	return 0, false
}

// newHandler writes level, msg and time as engines read them: the level in
// lower case.
func newHandler(w io.Writer, format string, level slog.Level) slog.Handler {
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			name := strings.ToLower(a.Value.String())
			if name == "warn" {
				name = "warning"
			}
			return slog.String(slog.LevelKey, name)
		}
		return a
	}}
	if format == "json" {
		return slog.NewJSONHandler(w, opt)
	}
	return slog.NewTextHandler(w, opt)
}

// write logs a message that is not berth's failure: to the log file, or to
// standard error where there is none. An engine's container shares its standard
// error with berth, and messages are no output of the container's.
func (l *logger) write(level, msg string) {
	parsed, _ := parseLevel(level)
	if parsed < l.level {
		return
	}
	if l.sink == nil {
		fmt.Fprintf(os.Stderr, "berth: %s: %s\n", level, msg)
		return
	}
	l.toSink(parsed, msg)
}

func (l *logger) toSink(level slog.Level, msg string) {
	if l.sink == nil {
		return
	}
	if err := l.sink(level, msg); err != nil {
		fmt.Fprintf(os.Stderr, "berth: --log: %v\n", err)
	}
}

// fail tells the user why berth fails: on standard error, and as the last line
// of the log file, which is what engines show.
func (a *app) fail(err error) {
	msg := strings.ReplaceAll(err.Error(), "\n", "; ")
	fmt.Fprintf(os.Stderr, "berth: %s\n", msg)
	a.log.toSink(slog.LevelError, msg)
}
