package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

// createFlags are those that create and run share.
func createFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "the bundle's `FOLDER`"},
		&cli.StringFlag{Name: "config", Aliases: []string{"f"}, Usage: "another `FILE` than the bundle's config.json"},
		&cli.StringFlag{Name: "console-socket", Usage: "unix `SOCKET` that gets the terminal's master"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "unix `SOCKET` that gets a pidfd of the container's process"},
		&cli.StringFlag{Name: "pid-file", Usage: "`FILE` that gets the process id of the container's process"},
		&cli.BoolFlag{Name: "no-pivot", Usage: "use MS_MOVE and chroot in place of pivot_root, for hosts that run from a ramdisk"},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "hand `N` descriptors from 3 on to the container's process"},
	}
}

func (a *app) createCommand() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "create a container; start starts it",
		ArgsUsage: "ID",
		Flags:     createFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			opt, err := createOptions(c)
			if err != nil {
				return err
			}
			opt.Wait = true
			if opt.Bundle.Spec.Process.Terminal && opt.ConsoleSocket == "" {
				return errors.New("process.terminal: create has no terminal to relay to: pass --console-socket, use run without --detach, or set process.terminal to false")
			}
			_, err = a.runtime.Create(opt)
			return err
		},
	}
}

// createOptions reads the flags and the bundle.
func createOptions(c *cli.Command) (*libcontainer.CreateOptions, error) {
	id, err := oneID(c)
	if err != nil {
		return nil, err
	}
	bundle, err := libcontainer.LoadBundle(value[string](c, "bundle"), value[string](c, "config"))
	if err != nil {
		return nil, err
	}
	if err := bundle.CheckUser(); err != nil {
		return nil, err
	}
	opt := &libcontainer.CreateOptions{
		ID:            id,
		Bundle:        bundle,
		NoPivot:       value[bool](c, "no-pivot"),
		NoNewKeyring:  value[bool](c, "no-new-keyring"),
		PreserveFDs:   value[int](c, "preserve-fds"),
		PidFile:       value[string](c, "pid-file"),
		ConsoleSocket: value[string](c, "console-socket"),
		PidfdSocket:   value[string](c, "pidfd-socket"),
	}
	if opt.ConsoleSocket != "" && !bundle.Spec.Process.Terminal {
		return nil, errors.New("--console-socket: process.terminal is false: set it, or leave the socket out")
	}
	if err := checkPreserved(opt.PreserveFDs); err != nil {
		return nil, err
	}
	return opt, activation(opt)
}

// checkPreserved fails where a descriptor that is to be handed on is not open.
func checkPreserved(n int) error {
	if n < 0 || n > maxPreserved {
		return fmt.Errorf("--preserve-fds %d: use 0 to %d", n, maxPreserved)
	}
	if fd := firstClosed(n); fd >= 0 {
		return fmt.Errorf("--preserve-fds %d: descriptor %d is not open: open it, or preserve fewer", n, fd)
	}
	return nil
}

// maxPreserved is the most descriptors that are handed on.
const maxPreserved = 1024

// firstClosed returns which of n descriptors from 3 on is not open; -1 for none.
func firstClosed(n int) int {
	for fd := 3; fd < 3+n; fd++ {
		// The Go runtime's own descriptors are close-on-exec, inherited ones not.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			return fd
		}
	}
	return -1
}

func (a *app) startCommand() *cli.Command {
	return &cli.Command{
		Name:      "start",
		Usage:     "start the process of a created container",
		ArgsUsage: "ID",
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			return a.runtime.Start(id)
		},
	}
}
