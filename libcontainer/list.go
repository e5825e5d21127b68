package libcontainer

import (
	"errors"
	"fmt"
	"os"
)

// List returns all containers of the state root, by id. One whose state cannot
// be read is left out and warned of.
func (r *Runtime) List() ([]*Container, error) {
	entries, err := os.ReadDir(r.Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	all := make([]*Container, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() || checkID(e.Name()) != nil {
			continue
		}
		c, err := r.Load(e.Name())
		var missing *NotExistError
		if errors.As(err, &missing) {
			continue // deleted meanwhile
		}
		if err != nil {
			r.Log("warning", err.Error())
			continue
		}
		all = append(all, c)
	}
	return all, nil
}
