package integration

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// --log syslog:NAME writes berth's failure to the host's syslog socket, with the severity of an error.
func TestSyslog(t *testing.T) {
	berthOnly(t, "--log syslog:")
	const socket = "/dev/log"
	if _, err := os.Lstat(socket); err == nil {
		t.Skip("a syslog daemon listens on this host already")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(socket)
	defer conn.Close()
	r := oci(t, "--log", "syslog:harbour", "state", "no-such").exits(t, 1)
	wantContains(t, "stderr", r.stderr, "does not exist")
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	text := string(buf[:n])
	wantContains(t, "message", text, " harbour[", "does not exist")
	if !strings.HasPrefix(text, "<11>") {
		t.Errorf("priority: got %q, want <11> (user, error)", text)
	}
}

// Where nobody listens, --log journald: and syslog: say so before anything is done.
func TestLogNobodyListens(t *testing.T) {
	berthOnly(t, "--log journald:")
	for name, path := range map[string]string{"journald:": "/run/systemd/journal/socket", "syslog:": "/dev/log"} {
		if _, err := os.Lstat(path); err == nil {
			continue // somebody does
		}
		r := oci(t, "--log", name, "list").exits(t, 1)
		wantContains(t, "error", r.stderr, "--log", "name a file")
	}
}
