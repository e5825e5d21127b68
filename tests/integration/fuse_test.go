package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// fuseServer is a FUSE file system of one folder with one file in it, both of the user 1000 and the group 1001, whose
// server are the tests themselves: what may be bound and idmapped depends on what a server allows, and Debian's servers
// are older than idmapped mounts of FUSE.
type fuseServer struct {
	allowOther bool   // others than user may use it
	user       uint32 // who mounted it
	idmap      bool   // the server allows idmapped mounts (FUSE_ALLOW_IDMAP, Linux 6.12)
}

// fuseText is what the file holds.
const fuseText = "from the FUSE server\n"

// linux/fuse.h
const (
	fuseLookup      = 1
	fuseForget      = 2
	fuseGetattr     = 3
	fuseOpen        = 14
	fuseRead        = 15
	fuseStatfs      = 17
	fuseRelease     = 18
	fuseFlush       = 25
	fuseInit        = 26
	fuseOpendir     = 27
	fuseReleasedir  = 29
	fuseBatchForget = 42

	fuseInitExt       = 1 << 30
	fuseAllowIdmapTop = 1 << (40 - 32) // in flags2
)

// mount mounts the file system on a new folder, serves it until the test's end and gives the folder.
func (s fuseServer) mount(t *testing.T) string {
	t.Helper()
	folder := hostFolder(t)
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		t.Skip("this kernel has no FUSE")
	}
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40755,user_id=%d,group_id=%d,default_permissions", device, s.user, s.user)
	if s.allowOther {
		options += ",allow_other"
	}
	if err := unix.Mount("fuse", folder, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(device)
		t.Fatalf("mount FUSE: %v", err)
	}
	known := make(chan struct{})
	go s.serve(device, known) // until the last mount of it is gone
	// The mount is there before the kernel has asked what the server allows.
	<-known
	return folder
}

// serve closes known when the kernel has been told what the server allows, or will never be.
func (s fuseServer) serve(device int, known chan struct{}) {
	tell := sync.OnceFunc(func() { close(known) })
	defer tell()
	defer unix.Close(device)
	request := make([]byte, 1<<17)
	for {
		n, err := unix.Read(device, request)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue // the request's sender gave up
		}
		if err != nil || n < 40 {
			return
		}
		op, node := binary.NativeEndian.Uint32(request[4:]), binary.NativeEndian.Uint64(request[16:])
		if op == fuseForget || op == fuseBatchForget {
			continue // which have no answer
		}
		body, errno := s.answer(op, node, request[40:n])
		out := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
		out = binary.NativeEndian.AppendUint32(out, uint32(-int32(errno)))
		out = append(out, request[8:16]...) // the request's number
		if _, err := unix.Write(device, append(out, body...)); err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
		if op == fuseInit {
			tell()
		}
	}
}

// Nodes are 1 for the folder and 2 for the file.
func (s fuseServer) answer(op uint32, node uint64, in []byte) ([]byte, unix.Errno) {
	switch op {
	case fuseInit:
		out := make([]byte, 64)
		binary.NativeEndian.PutUint32(out, 7)                // the protocol's major version
		binary.NativeEndian.PutUint32(out[4:], 36)           // and minor
		copy(out[8:12], in[8:12])                            // read-ahead
		binary.NativeEndian.PutUint32(out[12:], fuseInitExt) // so that there are flags2
		binary.NativeEndian.PutUint32(out[20:], 4096)        // longest write
		if s.idmap {
			binary.NativeEndian.PutUint32(out[32:], fuseAllowIdmapTop)
		}
		return out, 0
	case fuseLookup:
		if string(in) != "file\x00" {
			return nil, unix.ENOENT
		}
		out := make([]byte, 40) // valid for no time
		binary.NativeEndian.PutUint64(out, 2)
		return append(out, fuseAttributes(2)...), 0
	case fuseGetattr:
		return append(make([]byte, 16), fuseAttributes(node)...), 0
	case fuseOpen, fuseOpendir:
		return make([]byte, 16), 0
	case fuseRead:
		from := min(binary.NativeEndian.Uint64(in[8:]), uint64(len(fuseText)))
		return []byte(fuseText[from:]), 0
	case fuseStatfs:
		return make([]byte, 80), 0
	case fuseRelease, fuseReleasedir, fuseFlush:
		return nil, 0
	}
	return nil, unix.ENOSYS
}

func fuseAttributes(node uint64) []byte {
	out := make([]byte, 88)
	mode, size := uint32(unix.S_IFDIR|0o755), 0
	if node == 2 {
		mode, size = unix.S_IFREG|0o644, len(fuseText)
	}
	binary.NativeEndian.PutUint64(out, node)
	binary.NativeEndian.PutUint64(out[8:], uint64(size))
	binary.NativeEndian.PutUint32(out[60:], mode)
	binary.NativeEndian.PutUint32(out[64:], 1) // links
	binary.NativeEndian.PutUint32(out[68:], 1000)
	binary.NativeEndian.PutUint32(out[72:], 1001)
	binary.NativeEndian.PutUint32(out[80:], 4096) // block size
	return out
}

// overlayFolder mounts an overlay, of a lower folder with the file of hostFolder and an empty upper one.
func overlayFolder(t *testing.T, lower string) string {
	t.Helper()
	merged, layers := hostFolder(t), hostFolder(t)
	// On a tmpfs, as an upper layer cannot lie on an overlay, which a CI machine's files may lie on.
	if err := unix.Mount("layers", layers, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"/upper", "/work"} {
		if err := os.Mkdir(layers+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=" + lower + ",upperdir=" + layers + "/upper,workdir=" + layers + "/work"
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay: %v", err)
	}
	return merged
}
