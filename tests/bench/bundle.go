package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// config is a config.json under change; what is not touched stays as the engine wrote it.
type config map[string]any

// readConfig reads one of tests/workloads.
func readConfig(path string) (config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // numbers of 64 bits stay what they are
	var c config
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// section returns an object of the config, made where it is missing.
func (c config) section(path ...string) map[string]any {
	at := map[string]any(c)
	for _, name := range path {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	return at
}

// change alters a config.
type change func(config)

// sleeping makes the process one that lives until it is killed.
func sleeping(c config) { c.section("process")["args"] = []string{"/bin/sleep", "3600"} }

// withoutLimits leaves out all of linux.resources.
func withoutLimits(c config) { delete(c.section("linux"), "resources") }

// fewNamespaces leaves the cheap ones: for rows where the containers only have to be there.
func fewNamespaces(c config) {
	c.section("linux")["namespaces"] = []map[string]string{{"type": "pid"}, {"type": "mount"}}
	delete(c, "hostname")
}

func withMemoryLimit(bytes int64) change {
	return func(c config) { c.section("linux", "resources", "memory")["limit"] = bytes }
}

func withPidsLimit(n int64) change {
	return func(c config) { c.section("linux", "resources", "pids")["limit"] = n }
}

// bundle writes a bundle made from a workload and returns its folder. All share one rootfs. A cgroup path that the
// workload names gets a name of this run's own.
func (b *bench) bundle(workload string, changes ...change) (string, error) {
	c, err := readConfig(filepath.Join(b.opt.workloads, workload+".json"))
	if err != nil {
		return "", err
	}
	c.section("root")["path"] = b.rootfs()
	linux := c.section("linux")
	if _, ok := linux["cgroupsPath"]; ok {
		linux["cgroupsPath"] = "/" + b.opt.token + workload
	}
	for _, f := range changes {
		f(c)
	}
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(b.opt.scratch, workload+"-")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
}

func (b *bench) rootfs() string { return filepath.Join(b.opt.scratch, "rootfs") }

// makeRootfs makes the root file system of all bundles: busybox as a few of its applets.
func (b *bench) makeRootfs() error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w (Debian's busybox-static): scripts/deps bench", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	bin := filepath.Join(b.rootfs(), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755); err != nil {
		return err
	}
	for _, applet := range []string{"true", "sleep", "sh", "cat", "stat"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			return err
		}
	}
	return nil
}
