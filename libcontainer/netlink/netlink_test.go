package netlink

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Loopback is in every network namespace, with its own number and no name but
// lo; this needs no root.
func TestLoopback(t *testing.T) {
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := c.LinkByName("lo")
	if err != nil || l.Index != 1 || l.Name != "lo" {
		t.Errorf("lo is %+v, %v", l, err)
	}
	if _, err := c.LinkByName("no-such-dev"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a device that is not there: %v", err)
	}
	// Its addresses are of the host's scope.
	list, err := c.Addresses(1)
	if err != nil || len(list) != 0 {
		t.Errorf("global addresses of lo: %v, %v", list, err)
	}
	if _, err := c.Addresses(1 << 20); err != nil {
		t.Errorf("addresses of no device: %v", err)
	}
}

// Damaged answers are errors, whatever their lengths say.
func TestDamagedAnswers(t *testing.T) {
	c := &Conn{seq: 1}
	for length := range 64 {
		for claimed := range 64 {
			data := make([]byte, length)
			if length >= unix.SizeofNlMsghdr {
				binary.NativeEndian.PutUint32(data, uint32(claimed))
				binary.NativeEndian.PutUint16(data[4:], unix.NLMSG_ERROR)
				binary.NativeEndian.PutUint32(data[8:], 1)
				// An error's number, and then the request of a length that does not fit.
				for i := unix.SizeofNlMsghdr; i < length; i++ {
					data[i] = byte(claimed)
				}
			}
			done, err := c.answers(data, false, nil)
			whole := length >= unix.SizeofNlMsghdr && claimed >= unix.SizeofNlMsghdr && claimed <= length
			if done && !whole {
				t.Errorf("%d bytes that claim %d: taken for an answer (%v)", length, claimed, err)
			}
		}
	}
}

// The kernel's own words are told beside the number.
func TestRefusal(t *testing.T) {
	words := newMessage(0, 0)
	words.data = nil
	words.text(unix.NLMSGERR_ATTR_MSG, "some words")
	body := binary.NativeEndian.AppendUint32(nil, ^uint32(unix.EINVAL)+1)
	body = append(body, make([]byte, unix.SizeofNlMsghdr)...)
	body = append(body, words.data...)
	err := refusal(body, unix.NLM_F_ACK_TLVS|unix.NLM_F_CAPPED)
	if err == nil || err.Error() != "some words (invalid argument)" || !errors.Is(err, unix.EINVAL) {
		t.Errorf("%v", err)
	}
	if err := refusal(body, 0); err == nil || err.Error() != "invalid argument" {
		t.Errorf("without words: %v", err)
	}
	if err := refusal(make([]byte, 20), 0); err != nil {
		t.Errorf("an acknowledgement: %v", err)
	}
}
