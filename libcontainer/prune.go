package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// pruneAge is how old a state folder must be to be what an interrupted create
// left, when it has nothing in it: a create at work makes the folder, and then
// takes its lock.
const pruneAge = time.Minute

// Prune removes the containers that have stopped, and what interrupted creates
// left, with their cgroups and poststop hooks, as Delete does. removed is told of
// each that is gone. One that cannot be removed does not keep the others; all
// errors are joined.
func (r *Runtime) Prune(removed func(c *Container)) error {
	all, err := r.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		gone := false
		err := r.locked(c.ID, func(c *Container) (err error) {
			gone, err = c.prune()
			return err
		})
		var missing *NotExistError
		switch {
		case errors.As(err, &missing): // somebody else has
		case err != nil:
			errs = append(errs, fmt.Errorf("container %q is kept: %w", c.ID, err))
		case gone:
			removed(c)
		}
	}
	return errors.Join(append(errs, r.emptyTrash())...)
}

// emptyTrash removes what deletes left that were killed half-way.
func (r *Runtime) emptyTrash() error {
	entries, err := os.ReadDir(r.Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the state root: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), trash); ok && e.IsDir() && checkID(id) == nil {
			errs = append(errs, os.RemoveAll(filepath.Join(r.Root, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// prune removes the container if it has stopped, which is known for sure only
// while it is locked.
func (c *Container) prune() (gone bool, err error) {
	status, err := c.Status()
	if err != nil || status != specs.StateStopped {
		return false, err
	}
	if c.Created.IsZero() {
		info, err := os.Stat(c.dir)
		if err != nil || time.Since(info.ModTime()) < pruneAge {
			return false, err
		}
	}
	return true, c.destroy()
}
