// Pack packs the seccomp generator for berth to embed: pack GENERATOR FILE. make
// calls it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"berth/seccomp/packed"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "use: pack GENERATOR FILE")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(generator, file string) error {
	version, err := exec.Command(generator, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", generator, err)
	}
	program, err := os.ReadFile(generator)
	if err != nil {
		return err
	}
	data, err := packed.Pack(strings.TrimSpace(string(version)), program)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
