package libcontainer

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/spec"
)

// raiseLimits raises berth's own hard limits to those of a process that is to
// be started and that inherits them: by the time the process sets its limits
// it may not raise them any more (CAP_SYS_RESOURCE, which a user namespace
// does not give). Soft limits, which are what counts, stay.
func raiseLimits(limits []specs.POSIXRlimit) error {
	for i := range limits {
		number, ok := spec.Rlimit(limits[i].Type)
		if !ok {
			continue // the compiler has said so
		}
		var have unix.Rlimit
		if err := unix.Prlimit(0, number, nil, &have); err != nil {
			return fmt.Errorf("prlimit %s: %w", limits[i].Type, err)
		}
		if have.Max >= limits[i].Hard {
			continue
		}
		raised := unix.Rlimit{Cur: have.Cur, Max: limits[i].Hard}
		if err := unix.Prlimit(0, number, &raised, nil); err != nil {
			return fmt.Errorf("%s (%s): raise the hard limit from %d to %d: %w: lower it, or raise berth's own",
				plan.Origin{Field: "process.rlimits", Index: i}, limits[i].Type, have.Max, limits[i].Hard, err)
		}
	}
	return nil
}
