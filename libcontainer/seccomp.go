package libcontainer

import (
	"encoding/binary"
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/memfd"
	"berth/seccomp"
)

// seccompFolder keeps compiled programs under the state root. No container can
// have that name: checkID allows no @.
const seccompFolder = "@seccomp"

// receiverAnnotation is crun's, for configs whose engine knows no listenerPath.
const receiverAnnotation = "run.oci.seccomp.receiver"

// seccompProgram returns the compiled profile as the executor takes it: eight
// bytes of flags, then the filter. It is compiled beside the executor's first
// steps, and only where no earlier container has had the same.
func (r *Runtime) seccompProgram(profile *specs.LinuxSeccomp) (int, error) {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return -1, fmt.Errorf("uname: %w", err)
	}
	cache := seccomp.Cache{Dir: filepath.Join(r.Root, seccompFolder)}
	var log func(msg string)
	if r.Debug {
		log = func(msg string) { r.Log("debug", msg) }
	}
	p, err := cache.Compile(profile, unix.ByteSliceToString(kernel.Release[:]), log)
	if err != nil {
		return -1, err
	}
	data := make([]byte, 8, 8+len(p.Filter))
	binary.NativeEndian.PutUint64(data, uint64(p.Flags))
	return memfd.Sealed("berth-seccomp", append(data, p.Filter...))
}

// sendListener gives the agent the descriptor by which it hears of the system
// calls of process pid that it decides about.
func (c *Container) sendListener(profile *specs.LinuxSeccomp, fd, pid int, state *specs.State) error {
	path := profile.ListenerPath
	if path == "" {
		path = c.Annotations[receiverAnnotation]
	}
	return seccomp.SendNotifyFD(path, fd, seccomp.ProcessState(profile, pid, *state))
}
