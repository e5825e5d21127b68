//go:build libseccomp

package seccomp

import (
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelBPF runs a seccomp filter in the kernel's own BPF, without installing it
// on anyone: as the filter of a socket, whose packets are struct seccomp_data.
// Two things differ there and are translated: packets are read big-endian, and
// the return value is the number of bytes to keep, so each distinct return value
// of the program becomes a length.
type kernelBPF struct {
	send, receive int
	returns       []uint32 // the return value for length n+1
}

func newKernelBPF(t *testing.T, code []insn) *kernelBPF {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	k := &kernelBPF{send: pair[0], receive: pair[1]}
	filter := make([]unix.SockFilter, len(code))
	for n, i := range code {
		if i.code == opReturn {
			length := slices.Index(k.returns, i.k)
			if length < 0 {
				length = len(k.returns)
				k.returns = append(k.returns, i.k)
			}
			i.k = uint32(length + 1)
		}
		filter[n] = unix.SockFilter{Code: i.code, Jt: i.jt, Jf: i.jf, K: i.k}
	}
	if len(k.returns) > 63 {
		t.Fatalf("%d return values do not fit a packet", len(k.returns))
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	if err := unix.SetsockoptSockFprog(k.receive, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		t.Fatalf("the kernel refuses the program: %v", err)
	}
	return k
}

func (k *kernelBPF) run(t *testing.T, d *callData) uint32 {
	t.Helper()
	packet := make([]byte, 0, 64)
	for offset := uint32(0); offset < 64; offset += 4 {
		v, _ := d.word(offset)
		packet = binary.BigEndian.AppendUint32(packet, v)
	}
	if _, err := unix.Write(k.send, packet); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Read(k.receive, packet)
	if err != nil || n < 1 || n > len(k.returns) {
		t.Fatalf("kept %d bytes of the packet, want 1 to %d: %v", n, len(k.returns), err)
	}
	return k.returns[n-1]
}
