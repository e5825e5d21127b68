// Package netlink speaks the few words of rtnetlink(7) that moving a network
// device into another network namespace takes. Why no library does it is in
// docs/decisions.
package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Conn is a socket in one network namespace, to be used by one goroutine.
type Conn struct {
	fd  int
	seq uint32
	buf []byte
}

// Open opens a socket in this process's network namespace.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	// The kernel's own words on a refusal; Linux 4.12. Without them all works as
	// well.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return &Conn{fd: fd, buf: make([]byte, 64<<10)}, nil
}

// OpenIn opens a socket in the network namespace behind a descriptor.
func OpenIn(netns int) (*Conn, error) {
	type answer struct {
		c   *Conn
		err error
	}
	done := make(chan answer)
	go func() {
		// The thread is in the other namespace: it ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- answer{nil, fmt.Errorf("setns: %w", err)}
			return
		}
		c, err := Open()
		done <- answer{c, err}
	}()
	a := <-done
	return a.c, a.err
}

// Close closes the socket.
func (c *Conn) Close() { unix.Close(c.fd) }

// Error is a request that the kernel refused.
type Error struct {
	Errno unix.Errno
	Text  string // the kernel's own words, or empty
}

// Error returns the kernel's words, and what the number means.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Text + " (" + e.Errno.Error() + ")"
}

// Unwrap returns the error number.
func (e *Error) Unwrap() error { return e.Errno }

// Link is a network device.
type Link struct {
	Index int32
	Name  string
	Up    bool
}

// LinkByName finds a device; unix.ENODEV where there is none.
func (c *Conn) LinkByName(name string) (Link, error) {
	m := newMessage(unix.RTM_GETLINK, unix.NLM_F_REQUEST)
	m.link(0, 0, 0)
	m.text(unix.IFLA_IFNAME, name)
	var found *Link
	err := c.do(m, func(kind uint16, data []byte) error {
		if kind != unix.RTM_NEWLINK || len(data) < unix.SizeofIfInfomsg {
			return nil
		}
		l := Link{Index: int32(binary.NativeEndian.Uint32(data[4:])), Up: binary.NativeEndian.Uint32(data[8:])&unix.IFF_UP != 0}
		return attributes(data[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
			if kind == unix.IFLA_IFNAME {
				l.Name = unix.ByteSliceToString(value)
				found = &l
			}
		})
	})
	if err != nil {
		return Link{}, err
	}
	if found == nil {
		return Link{}, &Error{Errno: unix.ENODEV}
	}
	return *found, nil
}

// Move puts a device into the network namespace behind a descriptor, with a
// name that is free there. It is down then.
func (c *Conn) Move(index int32, netns int, name string) error {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.link(index, 0, 0)
	m.number(unix.IFLA_NET_NS_FD, uint32(netns))
	m.text(unix.IFLA_IFNAME, name)
	return c.do(m, nil)
}

// Rename names a device that is down; %d in the name becomes a number.
func (c *Conn) Rename(index int32, name string) error {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.link(index, 0, 0)
	m.text(unix.IFLA_IFNAME, name)
	return c.do(m, nil)
}

// SetUp brings a device up.
func (c *Conn) SetUp(index int32) error {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.link(index, unix.IFF_UP, unix.IFF_UP)
	return c.do(m, nil)
}

// Address is an address of a device, as it is told of and set again.
type Address struct {
	family, prefix uint8
	flags          uint32
	attrs          []attribute
}

type attribute struct {
	kind  uint16
	value []byte
}

// keptFlags are those of an address that are somebody's choice, not a state.
const keptFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
	unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

const ifaProto = 11 // IFA_PROTO of linux/if_addr.h, who set the address

// Addresses lists a device's permanent addresses of global scope, of every
// family, in the order in which they were set.
func (c *Conn) Addresses(index int32) ([]Address, error) {
	m := newMessage(unix.RTM_GETADDR, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	m.bytes(make([]byte, unix.SizeofIfAddrmsg))
	var list []Address
	err := c.do(m, func(kind uint16, data []byte) error {
		if kind != unix.RTM_NEWADDR || len(data) < unix.SizeofIfAddrmsg {
			return nil
		}
		a := Address{family: data[0], prefix: data[1], flags: uint32(data[2])}
		scope, of := data[3], int32(binary.NativeEndian.Uint32(data[4:]))
		err := attributes(data[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
			switch kind {
			case unix.IFA_FLAGS:
				if len(value) == 4 {
					a.flags = binary.NativeEndian.Uint32(value)
				}
			case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST, unix.IFA_RT_PRIORITY, ifaProto:
				// (A label begins with the device's old name.)
				a.attrs = append(a.attrs, attribute{kind, append([]byte(nil), value...)})
			}
		})
		if of == index && scope == unix.RT_SCOPE_UNIVERSE && a.flags&unix.IFA_F_PERMANENT != 0 {
			list = append(list, a)
		}
		return err
	})
	return list, err
}

// AddAddress gives a device an address.
func (c *Conn) AddAddress(index int32, a Address) error {
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	head := make([]byte, unix.SizeofIfAddrmsg)
	head[0], head[1], head[3] = a.family, a.prefix, unix.RT_SCOPE_UNIVERSE
	binary.NativeEndian.PutUint32(head[4:], uint32(index))
	m.bytes(head)
	m.number(unix.IFA_FLAGS, a.flags&keptFlags)
	for _, attr := range a.attrs {
		m.attribute(attr.kind, attr.value)
	}
	return c.do(m, nil)
}

// message is a request under way.
type message struct{ data []byte }

func newMessage(kind, flags uint16) *message {
	m := &message{data: make([]byte, unix.SizeofNlMsghdr, 128)}
	binary.NativeEndian.PutUint16(m.data[4:], kind)
	binary.NativeEndian.PutUint16(m.data[6:], flags)
	return m
}

// bytes appends, padded to the alignment of netlink(7).
func (m *message) bytes(b []byte) {
	m.data = append(m.data, b...)
	for len(m.data)%unix.NLMSG_ALIGNTO != 0 {
		m.data = append(m.data, 0)
	}
}

// link appends a struct ifinfomsg.
func (m *message) link(index int32, flags, change uint32) {
	head := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(head[4:], uint32(index))
	binary.NativeEndian.PutUint32(head[8:], flags)
	binary.NativeEndian.PutUint32(head[12:], change)
	m.bytes(head)
}

func (m *message) attribute(kind uint16, value []byte) {
	head := make([]byte, unix.SizeofNlAttr, unix.SizeofNlAttr+len(value))
	binary.NativeEndian.PutUint16(head, uint16(unix.SizeofNlAttr+len(value)))
	binary.NativeEndian.PutUint16(head[2:], kind)
	m.bytes(append(head, value...))
}

func (m *message) text(kind uint16, s string) { m.attribute(kind, append([]byte(s), 0)) }

func (m *message) number(kind uint16, n uint32) {
	m.attribute(kind, binary.NativeEndian.AppendUint32(nil, n))
}

// do sends a request, hands each answer to got, and returns when all came.
func (c *Conn) do(m *message, got func(kind uint16, data []byte) error) error {
	c.seq++
	binary.NativeEndian.PutUint32(m.data, uint32(len(m.data)))
	binary.NativeEndian.PutUint32(m.data[8:], c.seq)
	if err := unix.Sendto(c.fd, m.data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to the kernel by netlink: %w", err)
	}
	many := binary.NativeEndian.Uint16(m.data[6:])&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive from the kernel by netlink: %w", err)
		}
		done, err := c.answers(c.buf[:n], many, got)
		if done || err != nil {
			return err
		}
	}
}

// answers goes through the messages of one packet.
func (c *Conn) answers(data []byte, many bool, got func(uint16, []byte) error) (done bool, err error) {
	for len(data) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.SizeofNlMsghdr || size > len(data) {
			return false, errDamaged
		}
		body := data[unix.SizeofNlMsghdr:size]
		kind, flags := binary.NativeEndian.Uint16(data[4:]), binary.NativeEndian.Uint16(data[6:])
		seq := binary.NativeEndian.Uint32(data[8:])
		data = data[min(aligned(size), len(data)):]
		if seq != c.seq {
			continue
		}
		switch kind {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			return true, refusal(body, flags)
		}
		if got != nil {
			if err := got(kind, body); err != nil {
				return false, err
			}
		}
		if !many {
			return true, nil
		}
	}
	return false, nil
}

var errDamaged = errors.New("the kernel's netlink message has lengths that do not fit")

// refusal reads a struct nlmsgerr; a number of 0 is an acknowledgement.
func refusal(body []byte, flags uint16) error {
	if len(body) < 4+unix.SizeofNlMsghdr {
		return errDamaged
	}
	n := -int32(binary.NativeEndian.Uint32(body))
	if n == 0 {
		return nil
	}
	e := &Error{Errno: unix.Errno(n)}
	if flags&unix.NLM_F_ACK_TLVS == 0 {
		return e
	}
	// The request comes back before the words, its head alone where it is capped.
	skip := 4 + unix.SizeofNlMsghdr
	if flags&unix.NLM_F_CAPPED == 0 {
		skip = 4 + aligned(int(binary.NativeEndian.Uint32(body[4:])))
	}
	if skip > len(body) {
		return e
	}
	_ = attributes(body[skip:], func(kind uint16, value []byte) { // words or none
		if kind == unix.NLMSGERR_ATTR_MSG {
			e.Text = unix.ByteSliceToString(value)
		}
	})
	return e
}

// attributes goes through a list of struct nlattr.
func attributes(data []byte, got func(kind uint16, value []byte)) error {
	const typeMask = 0x3fff // NLA_TYPE_MASK
	for len(data) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofNlAttr || size > len(data) {
			return errDamaged
		}
		got(binary.NativeEndian.Uint16(data[2:])&typeMask, data[unix.SizeofNlAttr:size])
		data = data[min(aligned(size), len(data)):]
	}
	return nil
}

func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
