package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// DefaultTimeout is how long systemd may take to answer a call or to end a job.
const DefaultTimeout = 30 * time.Second

// cleanupTimeout is how long it may take to answer once it was too late.
const cleanupTimeout = 3 * time.Second

const (
	destination      = "org.freedesktop.systemd1"
	managerPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerInterface = destination + ".Manager"
	systemBus        = "unix:path=/run/dbus/system_bus_socket"
	systemPrivate    = "unix:path=/run/systemd/private"
)

// Options says which systemd to talk to.
type Options struct {
	// User asks for the manager of the calling user, as rootless containers
	// need it, and not process 1.
	User bool
	// Timeout is for each call and job; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Conn is a connection to a systemd manager. It is for one goroutine.
type Conn struct {
	bus     *dbus.Conn
	manager dbus.BusObject
	address string
	user    bool
	timeout time.Duration
	root    string
	// direct is set where systemd itself is at the other end, not a bus.
	direct bool
	// jobs gets the manager's signals once watch was called, and watched is the
	// unit whose they are.
	jobs    chan *dbus.Signal
	watched string
}

// place is where a manager may be reached.
type place struct {
	address string
	direct  bool
}

// Connect finds the manager and makes sure that it answers. Process 1 is looked
// for on the system bus, and for root then on its own socket, which is there
// without a bus daemon; the user's manager on the session bus, the user's bus in
// $XDG_RUNTIME_DIR, and its own socket.
//
// The error says what was tried, and what to do.
func Connect(o Options) (*Conn, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	places, err := o.places()
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, p := range places {
		c, err := o.connect(p)
		if err == nil {
			return c, nil
		}
		problems = append(problems, p.address+": "+err.Error())
	}
	return nil, o.unreachable(problems)
}

// places lists where to look, the most official place first.
func (o *Options) places() ([]place, error) {
	if o.User {
		return userPlaces(), nil
	}
	if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
		return []place{{address: address}}, nil
	}
	// sd_booted(3)
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("systemd is not this system's init (there is no /run/systemd/system): leave out --systemd-cgroup, or give --cgroup-manager cgroupfs")
	}
	places := []place{{address: systemBus}}
	if os.Geteuid() == 0 {
		places = append(places, place{systemPrivate, true})
	}
	return places, nil
}

func userPlaces() []place {
	var places []place
	session := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if session != "" {
		places = append(places, place{address: session})
	}
	dir := runtimeDir()
	if bus := "unix:path=" + dbus.EscapeBusAddressValue(dir+"/bus"); bus != session {
		places = append(places, place{address: bus})
	}
	return append(places, place{"unix:path=" + dbus.EscapeBusAddressValue(dir+"/systemd/private"), true})
}

func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return "/run/user/" + strconv.Itoa(os.Getuid())
}

func (o *Options) unreachable(problems []string) error {
	tried := strings.Join(problems, "; ")
	if !o.User {
		return fmt.Errorf("systemd cannot be reached (%s): see `systemctl status dbus`, or give --cgroup-manager cgroupfs", tried)
	}
	return fmt.Errorf("there is no user's systemd manager to be reached (%s): log in through PAM (ssh or `machinectl shell`, not su or sudo), or as root run `loginctl enable-linger %d` and set XDG_RUNTIME_DIR=/run/user/%d; or give --cgroup-manager cgroupfs",
		tried, os.Getuid(), os.Getuid())
}

// connect reaches for the manager at one place.
func (o *Options) connect(p place) (*Conn, error) {
	bus, err := o.dial(p.address)
	if err != nil {
		return nil, err
	}
	c := &Conn{bus: bus, manager: bus.Object(destination, managerPath), address: p.address, direct: p.direct, user: o.User, timeout: o.Timeout}
	if err := c.introduce(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// dialError leaves out what the caller says anyway, the address.
func dialError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// introduce authenticates, and asks for the manager's cgroup, which shows that
// the manager is there.
func (c *Conn) introduce() error {
	// The first steps know of no deadline; closing the connection ends them.
	// That it was closed is seen from their error, so the result of Close says
	// nothing more.
	watchdog := time.AfterFunc(c.timeout, func() { _ = c.bus.Close() })
	err := c.bus.Auth([]dbus.Auth{dbus.AuthExternal("")})
	if !watchdog.Stop() {
		return fmt.Errorf("no answer within %v", c.timeout)
	}
	if err != nil {
		return fmt.Errorf("log in to the bus: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	var hello *dbus.Call
	if !c.direct {
		hello = c.bus.BusObject().GoWithContext(ctx, "org.freedesktop.DBus.Hello", 0, nil)
	}
	// Asked for without waiting for the bus's answer.
	root, err := property(ctx, c.manager, managerInterface, "ControlGroup")
	if hello != nil {
		<-hello.Done
		switch {
		case errors.Is(hello.Err, context.DeadlineExceeded):
			return fmt.Errorf("no answer within %v", c.timeout)
		case hello.Err != nil:
			return fmt.Errorf("log in to the bus: %w", hello.Err)
		}
	}
	if err != nil {
		return c.explain("ask for its ControlGroup", err)
	}
	c.root = "/" + strings.Trim(root, "/")
	return nil
}

// ControlGroup is the manager's own cgroup, below which all its units are: "/"
// for process 1 of a host, the likes of
// /user.slice/user-1000.slice/user@1000.service for a user's manager. See
// [Unit.CgroupPath].
func (c *Conn) ControlGroup() string { return c.root }

// Close ends the connection. Units stay.
func (c *Conn) Close() error {
	if err := c.bus.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the connection to systemd: %w", err)
	}
	return nil
}

// String names the manager in messages.
func (c *Conn) String() string {
	if c.user {
		return "the user's systemd manager"
	}
	return "systemd"
}

// timeoutError says what took too long; that it is a deadline's is for
// errors.Is, and would only repeat itself in the text.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// explain turns what godbus and systemd say into an error for the user. what is
// the action: "start the unit x.scope".
func (c *Conn) explain(what string, err error) error {
	var e dbus.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &timeoutError{fmt.Sprintf("%s: %s (at %s) did not answer in time, which is %v for all", what, c, c.address, c.timeout)}
	case !errors.As(err, &e):
		return fmt.Errorf("%s: the connection to %s failed: %w", what, c, err)
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return fmt.Errorf("%s: this bus has no systemd on it: %w", what, err)
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected":
		return fmt.Errorf("%s: %s went away: %w", what, c, err)
	case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "org.freedesktop.DBus.Error.AuthFailed":
		if !c.user {
			return fmt.Errorf("%s: systemd refuses: %w: only root may; rootless containers use the user's manager (--rootless true)", what, err)
		}
	}
	return fmt.Errorf("%s: %s refuses: %w", what, c, err)
}
