package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// List returns all containers of the state root, by id. One whose state cannot
// be read is left out and warned of.
func (r *Runtime) List() ([]*Container, error) {
	root, err := os.Open(r.Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	defer root.Close()
	entries, err := root.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	// A thousand containers are a few megabytes.
	debug.SetGCPercent(1000)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() || checkID(e.Name()) != nil })
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	fd := int(root.Fd())
	all, errs := make([]*Container, len(entries)), make([]error, len(entries))
	parallel(len(entries), func(i int) { all[i], errs[i] = r.load(fd, ".", entries[i].Name()) })
	for i, err := range errs {
		var missing *NotExistError
		switch {
		case err == nil:
		case errors.As(err, &missing): // deleted meanwhile
			all[i] = nil
		default:
			r.Log("warning", err.Error())
			all[i] = nil
		}
	}
	return slices.DeleteFunc(all, func(c *Container) bool { return c == nil }), nil
}

// Statuses finds out the status of each container.
func Statuses(all []*Container) ([]specs.ContainerState, error) {
	statuses, errs := make([]specs.ContainerState, len(all)), make([]error, len(all))
	parallel(len(all), func(i int) { statuses[i], errs[i] = all[i].Status() })
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return statuses, nil
}

// parallel runs f for 0 to n-1, on as many processors as there are. It is what
// makes a list of many containers quick: all of its work is the kernel's.
func parallel(n int, f func(i int)) {
	workers := min(runtime.NumCPU(), n/16+1)
	// The program begins with one (docs/decisions/012-one-processor.md); what the
	// user says holds.
	if workers > runtime.GOMAXPROCS(0) && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(workers)
	}
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var others sync.WaitGroup
	for range workers - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
