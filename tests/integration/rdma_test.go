package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// usingRDMA makes this program, in a container, take what it can of an RDMA device; its value is the device's path.
const usingRDMA = "BERTH_TEST_RDMA"

// Commands of a device's file (enum ib_uverbs_write_cmds in Linux's include/uapi/rdma/ib_user_verbs.h).
const (
	uverbsGetContext = 0 // takes one of the HCA's handles
	uverbsAllocPD    = 3 // makes a protection domain, which is one of its objects
)

// uverbsAnswer is where a device's answers go. The kernel is told its address as a number, which a variable of a
// function's may not keep: stacks move.
var uverbsAnswer [8]uint32

// uverbs makes one call of an RDMA device: a command whose argument is where its answer goes, of that many words.
func uverbs(device *os.File, command uint32, words uint16) error {
	request := binary.NativeEndian.AppendUint32(nil, command)
	request = binary.NativeEndian.AppendUint16(request, 4) // words of this request
	request = binary.NativeEndian.AppendUint16(request, words)
	request = binary.NativeEndian.AppendUint64(request, uint64(uintptr(unsafe.Pointer(&uverbsAnswer))))
	_, err := device.Write(request)
	return err
}

// useRDMA opens the device until it gives no more handles, then makes objects with one of them until it gives no more,
// and says how many of each it got and why no more.
func useRDMA(path string) {
	const enough = 20
	open := func() (*os.File, error) {
		device, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		return device, uverbs(device, uverbsGetContext, 2)
	}
	first, err := open()
	handles := 0
	for device := first; err == nil && handles < enough; device, err = open() {
		defer device.Close()
		handles++
	}
	fmt.Printf("handles: %d, then: %v\n", handles, errnoOf(err))
	if handles == 0 {
		return
	}
	objects := 0
	for err = uverbs(first, uverbsAllocPD, 1); err == nil && objects < enough; err = uverbs(first, uverbsAllocPD, 1) {
		objects++
	}
	fmt.Printf("objects: %d, then: %v\n", objects, errnoOf(err))
}

// errnoOf is an error without the operation and the path around it.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// rdmaDevice is an RDMA device of the host's: its name, and the number of its file.
func rdmaDevice(t *testing.T) (name string, major, minor int64) {
	t.Helper()
	files, err := filepath.Glob("/sys/class/infiniband_verbs/uverbs*")
	if err != nil || len(files) == 0 {
		t.Skip("this host has no RDMA device (rdma link add NAME type rxe netdev lo)")
	}
	name = strings.TrimSpace(contents(t, mustOpen(t, files[0]+"/ibdev")))
	if _, err := fmt.Sscanf(contents(t, mustOpen(t, files[0]+"/dev")), "%d:%d", &major, &minor); err != nil {
		t.Fatalf("%s: %v", files[0], err)
	}
	return name, major, minor
}

// A process gets no more handles and objects of an RDMA device than its cgroup may have.
func TestRDMALimitHolds(t *testing.T) {
	needsRoot(t)
	needsController(t, "rdma")
	name, major, minor := rdmaDevice(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withHostProgram("/use-rdma", self), withArgs("/use-rdma"),
		withProcess(func(p *specs.Process) { p.Env = append(p.Env, usingRDMA+"=/dev/uverbs") }),
		withLinux(func(l *specs.Linux) {
			l.Devices = append(l.Devices, specs.LinuxDevice{Path: "/dev/uverbs", Type: "c", Major: major, Minor: minor})
		}),
		withResources(func(r *specs.LinuxResources) {
			r.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rw"}}
			r.Rdma = map[string]specs.LinuxRdma{name: {HcaHandles: ptr(uint32(2)), HcaObjects: ptr(uint32(7))}}
		}))
	// EAGAIN is what the kernel says at the limit; the event queue of each handle is an object too.
	want(t, "output", c.run().ok(t).stdout,
		"handles: 2, then: resource temporarily unavailable\nobjects: 7, then: resource temporarily unavailable\n")
}
