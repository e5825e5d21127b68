package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/compile"
	"berth/spec"
)

// Bundle is a bundle's folder and its configuration.
type Bundle struct {
	Path   string // absolute
	Spec   *specs.Spec
	Config []byte // the document itself
	// Warnings are what the document has that is passed over.
	Warnings []string
}

// LoadBundle reads and checks a bundle; config names another file than the
// bundle's config.json, or is empty.
func LoadBundle(path, config string) (*Bundle, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w", path, err)
	}
	if config == "" {
		config = filepath.Join(abs, configFile)
	}
	data, err := readFile(config)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("bundle %s has no config.json: %w: make one with `berth spec`, or name the bundle with --bundle", abs, err)
	}
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	s, err := spec.Parse(data)
	if err != nil {
		return nil, err
	}
	if err := spec.RequireProcess(s); err != nil {
		return nil, err
	}
	problems, warnings := spec.Check(s)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	b := &Bundle{Path: abs, Spec: s, Config: data, Warnings: warnings}
	return b, b.checkRootfs()
}

// checkRootfs fails on a rootfs that is no folder, before anything is made.
func (b *Bundle) checkRootfs() error {
	rootfs := compile.Rootfs(b.Spec, b.Path)
	info, err := os.Stat(rootfs)
	if err != nil {
		return fmt.Errorf("root.path: %w: unpack the image there, or name the rootfs's folder", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("root.path: %s is not a folder: name the rootfs's folder", rootfs)
	}
	return nil
}
