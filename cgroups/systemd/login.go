package systemd

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// loginLines are a whole login: a byte that carries the credentials, and three commands.
const loginLines = "\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"

// dial connects to a bus, or to systemd itself, and logs in where it knows how.
//
// A login takes four questions and answers (D-Bus Specification, "Authentication
// Protocol"), and godbus waits for each. All are known beforehand, so they are sent at
// once, as systemd's own client does it: EXTERNAL goes by the socket's credentials, and the
// name of the user, which would be another in a user namespace, is not sent. No message may
// come right behind them: systemd's own socket would not look at it.
func (o *Options) dial(address string) (*dbus.Conn, error) {
	name, ok := socketName(address)
	if !ok {
		bus, err := dbus.Dial(address)
		if err != nil {
			return nil, dialError(err)
		}
		return bus, nil
	}
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, dialError(err)
	}
	c := &loggedIn{Conn: socket, in: bufio.NewReader(socket)}
	if err := c.logIn(o.Timeout); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return dbus.NewConn(c)
}

// loggedIn is a connection that has logged in already, whatever godbus asks for.
type loggedIn struct {
	net.Conn
	in    *bufio.Reader
	lines []byte // what godbus has to read yet of the login it believes in
	begun bool   // it has done with that
}

func (c *loggedIn) logIn(timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("log in to the bus: %w", err)
	}
	_, err := c.Conn.Write([]byte(loginLines))
	for _, want := range []string{"DATA", "OK"} {
		var line string
		if err == nil {
			line, err = c.in.ReadString('\n')
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("no answer within %v", timeout)
		}
		if err != nil {
			return fmt.Errorf("log in to the bus: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if word, _, _ := strings.Cut(line, " "); word != want {
			return fmt.Errorf("log in to the bus: it answers %q", line)
		}
	}
	return c.SetDeadline(time.Time{})
}

// socketName returns the name of the unix socket that is a bus's only address; @ stands
// for the 0 of an abstract one.
func socketName(address string) (string, bool) {
	keys, ok := strings.CutPrefix(address, "unix:")
	if !ok || strings.Contains(address, ";") {
		return "", false
	}
	for _, pair := range strings.Split(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := dbus.UnescapeBusAddressValue(value)
		switch {
		case err != nil:
			return "", false
		case key == "path":
			return value, true
		case key == "abstract":
			return "@" + value, true
		}
	}
	return "", false
}

// Write answers godbus's login, and sends what comes after.
func (c *loggedIn) Write(p []byte) (int, error) {
	if c.begun {
		return c.Conn.Write(p)
	}
	switch string(p) {
	case "\x00":
	case "AUTH\r\n":
		c.lines = []byte("REJECTED EXTERNAL\r\n")
	case "AUTH EXTERNAL\r\n":
		c.lines = []byte("OK unknown\r\n")
	case "BEGIN\r\n":
		c.begun = true
	default:
		return 0, fmt.Errorf("godbus logs in with %q, which this version of berth does not know", p)
	}
	return len(p), nil
}

// Read gives godbus the answers to its login, and then what comes from the bus.
func (c *loggedIn) Read(p []byte) (int, error) {
	if c.begun {
		return c.in.Read(p)
	}
	n := copy(p, c.lines)
	c.lines = c.lines[n:]
	return n, nil
}
