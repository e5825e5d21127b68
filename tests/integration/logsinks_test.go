package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// --log syslog:NAME writes berth's failure to the host's syslog socket, with the severity of an error.
func TestSyslog(t *testing.T) {
	berthOnly(t, "--log syslog:")
	socket := "/dev/log"
	daemons, err := filepath.EvalSymlinks(socket)
	if err == nil { // that of a daemon, which is covered in this mount namespace
		socket = filepath.Join(host.scratch, "syslog")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(socket)
	defer conn.Close()
	if daemons != "" {
		if err := unix.Mount(socket, daemons, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Unmount(daemons, 0); err != nil {
				t.Error(err)
			}
		}()
	}
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
