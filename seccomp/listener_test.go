package seccomp

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func testState(metadata string) *specs.ContainerProcessState {
	p := &specs.LinuxSeccomp{ListenerMetadata: metadata}
	return ProcessState(p, 4422, specs.State{
		Version: specs.Version, ID: "c1", Status: specs.StateCreating, Pid: 4422, Bundle: "/b",
		Annotations: map[string]string{"k": "v"},
	})
}

// agent listens as a seccomp agent does.
func agent(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return l
}

// received is what an agent got in one connection.
type received struct {
	message []byte
	fds     []int
	err     error
}

// receive takes one connection to its end, slowly.
func receive(l *net.UnixListener) received {
	conn, err := l.AcceptUnix()
	if err != nil {
		return received{err: err}
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return received{err: err}
	}
	var r received
	buffer, control := make([]byte, 100_000), make([]byte, 1024)
	for {
		n, cn, _, _, err := conn.ReadMsgUnix(buffer, control)
		r.message = append(r.message, buffer[:n]...)
		if cn > 0 {
			messages, err := unix.ParseSocketControlMessage(control[:cn])
			if err != nil {
				return received{err: err}
			}
			for _, m := range messages {
				fds, err := unix.ParseUnixRights(&m)
				if err != nil {
					return received{err: err}
				}
				r.fds = append(r.fds, fds...)
			}
		}
		if errors.Is(err, io.EOF) || (n == 0 && err == nil) {
			return r
		}
		if err != nil {
			return received{err: err}
		}
	}
}

func TestSendNotifyFD(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 90), strings.Repeat("e", 90))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(long, strings.Repeat("f", 250))
	for what, c := range map[string]struct{ path, metadata string }{
		"usual":       {filepath.Join(t.TempDir(), "s"), "MKNOD=/dev/null"},
		"no metadata": {filepath.Join(t.TempDir(), "s"), ""},
		"large":       {filepath.Join(t.TempDir(), "s"), strings.Repeat("x", 3_000_000)},
		"long path":   {filepath.Join(long, "s"), "m"},
		"long name":   {deep, "m"},
	} {
		t.Run(what, func(t *testing.T) {
			listen := c.path
			if len(listen) > 107 {
				listen = filepath.Join(t.TempDir(), "s")
			}
			l := agent(t, listen)
			if listen != c.path {
				if err := os.Rename(listen, c.path); err != nil {
					t.Fatal(err)
				}
			}
			got := make(chan received)
			go func() { got <- receive(l) }()
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			before := openDescriptors(t)
			want := testState(c.metadata)
			sendErr := SendNotifyFD(c.path, int(file.Fd()), want)
			r := <-got
			if sendErr != nil || r.err != nil {
				t.Fatal(sendErr, r.err)
			}
			var state specs.ContainerProcessState
			if err := json.Unmarshal(r.message, &state); err != nil || !reflect.DeepEqual(&state, want) {
				t.Errorf("got %.300s, %v", r.message, err)
			}
			if strings.Contains(string(r.message), "metadata") != (c.metadata != "") {
				t.Errorf("metadata in %.300s", r.message)
			}
			if len(r.fds) != 1 {
				t.Fatalf("%d descriptors", len(r.fds))
			}
			var a, b unix.Stat_t
			if unix.Fstat(r.fds[0], &a) != nil || unix.Fstat(int(file.Fd()), &b) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
				t.Error("another file arrived")
			}
			unix.Close(r.fds[0])
			if after := openDescriptors(t); after > before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestSendNotifyFDFails(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// An agent that died: the socket is there, nobody listens.
	dead := agent(t, path("dead"))
	dead.SetUnlinkOnClose(false)
	dead.Close()
	datagram, err := net.ListenPacket("unixgram", path("datagram"))
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	// One that does not accept: its queue is full.
	busy, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(busy)
	if err := unix.Bind(busy, &unix.SockaddrUnix{Name: path("busy")}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(busy, 0); err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("unix", path("busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	// One that accepts and never reads, and one that hangs up.
	agent(t, path("deaf"))
	rude := agent(t, path("rude"))
	go func() {
		for {
			conn, err := rude.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	large := testState(strings.Repeat("x", 3_000_000))
	two := testState("")
	two.Fds = append(two.Fds, "more")
	for what, c := range map[string]struct {
		path, want string
		fd         int
		state      *specs.ContainerProcessState
	}{
		"no path":     {"", "linux.seccomp.listenerPath: missing, but SCMP_ACT_NOTIFY is used: set it", 0, testState("")},
		"nothing":     {path("none"), "linux.seccomp.listenerPath: connect to " + path("none") + ": no such file or directory: is the agent running?", 0, testState("")},
		"no folder":   {path(strings.Repeat("n", 120) + "/s"), "no such file or directory", 0, testState("")},
		"a file":      {path("file"), "connect to " + path("file") + ": connection refused: is the agent running?", 0, testState("")},
		"dead":        {path("dead"), "connection refused: is the agent running?", 0, testState("")},
		"datagram":    {path("datagram"), "protocol wrong type for socket: it must be a SOCK_STREAM socket", 0, testState("")},
		"busy":        {path("busy"), "is the agent running?", 0, testState("")},
		"deaf":        {path("deaf"), "send the notify descriptor to " + path("deaf") + ": connection timed out: see what", 0, large},
		"rude":        {path("rude"), "send the notify descriptor to ", 0, large},
		"bad fd":      {path("deaf"), "send the notify descriptor to " + path("deaf") + ": bad file descriptor", -1, testState("")},
		"two fds":     {path("deaf"), "the state names 2 descriptors", 0, two},
		"name is 300": {path(strings.Repeat("n", 300)), "file name too long", 0, testState("")},
	} {
		t.Run(what, func(t *testing.T) {
			before := openDescriptors(t)
			start := time.Now()
			err := sendNotifyFD(c.path, c.fd, c.state, 200*time.Millisecond)
			if err == nil || !strings.HasPrefix(err.Error(), "linux.seccomp.listenerPath: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant …%s…", err, c.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if after := openDescriptors(t); after > before+1 { // the rude agent's
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}
