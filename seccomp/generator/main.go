//go:build libseccomp

// Generator makes a seccomp program of a profile, by libseccomp. It is linked
// statically with it, lies packed in berth, and is run by package seccomp where no
// program is cached: the profile is read from standard input, as a Key, and the
// answer is written to standard output (seccomp.Generate).
package main

import (
	"fmt"
	"io"
	"os"

	"berth/seccomp"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(seccomp.LibraryVersion())
		return
	}
	if err := answer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer() error {
	request, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	reply, err := seccomp.Generate(request)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(reply); err != nil {
		return fmt.Errorf("write the program: %w", err)
	}
	return nil
}
