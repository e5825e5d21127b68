package libcontainer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"berth/libcontainer/resctrl"
)

// A container's own group of Intel RDT goes with it, whether hooks come after it or not.
func TestDestroyRemovesResctrlGroup(t *testing.T) {
	for _, poststop := range []bool{false, true} {
		root, group := t.TempDir(), filepath.Join(t.TempDir(), "group")
		r := &Runtime{Root: root, Log: func(level, msg string) { t.Errorf("%s: %s", level, msg) }}
		c := &Container{
			State:   State{ID: "c", Poststop: poststop, IntelRdt: &resctrl.Group{Dir: group, Own: true}},
			runtime: r, dir: r.dir("c"), lock: -1,
		}
		for _, dir := range []string{group, c.dir} {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.destroy(); err != nil {
			t.Errorf("poststop %v: %v", poststop, err)
		}
		for _, dir := range []string{group, c.dir} {
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("poststop %v: %s is still there (%v)", poststop, dir, err)
			}
		}
	}
}
