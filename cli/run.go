package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

func (a *app) runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "create a container, start it, and remove it when its process ends",
		ArgsUsage: "ID",
		Flags: append(createFlags(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "leave the container to itself once it runs"},
			&cli.BoolFlag{Name: "keep", Usage: "do not remove the container when its process ends"},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt processes that the container leaves behind"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			opt, err := createOptions(c)
			if err != nil {
				return err
			}
			if value[bool](c, "detach") {
				return a.runDetached(opt)
			}
			return a.runForeground(opt, value[bool](c, "keep"), !value[bool](c, "no-subreaper"))
		},
	}
}

func (a *app) runDetached(opt *libcontainer.CreateOptions) error {
	if opt.Bundle.Spec.Process.Terminal && opt.ConsoleSocket == "" {
		return errors.New("process.terminal: a detached container has no terminal to relay to: pass --console-socket, leave --detach out, or set process.terminal to false")
	}
	c, err := a.runtime.Create(opt)
	if err != nil {
		return err
	}
	return a.runtime.Poststart(c, opt.Bundle.Spec)
}

func (a *app) runForeground(opt *libcontainer.CreateOptions, keep, subreaper bool) error {
	return a.foreground(opt, keep, subreaper, func(opt *libcontainer.CreateOptions, signals *signals, tty *terminal) (*libcontainer.Container, error) {
		c, err := a.runtime.Create(opt)
		if err != nil {
			return nil, err
		}
		s := opt.Bundle.Spec
		if s.Hooks == nil || len(s.Hooks.Poststart) == 0 {
			return c, nil
		}
		return c, signals.meanwhile(c.Pid, tty, func() error { return a.runtime.Poststart(c, s) })
	})
}

// foreground stays with the container that is made: it passes signals and the
// terminal on and ends with the process's exit code.
func (a *app) foreground(opt *libcontainer.CreateOptions, keep, subreaper bool,
	begin func(*libcontainer.CreateOptions, *signals, *terminal) (*libcontainer.Container, error)) error {
	if opt.ConsoleSocket != "" {
		return errors.New("--console-socket: only with --detach: without it berth relays the terminal itself")
	}
	opt.NotifyAsMain = true
	var tty *terminal
	if opt.Bundle.Spec.Process.Terminal {
		var err error
		if tty, err = newTerminal("process.terminal", "set it to false"); err != nil {
			return err
		}
		defer tty.restore()
		opt.Console = tty.relay
	}
	if subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become a subreaper: %w", err)
		}
	}
	signals, err := catchSignals()
	if err != nil {
		return err
	}
	c, err := begin(opt, signals, tty)
	if err != nil {
		return err
	}
	status, err := signals.attend(c.Pid, tty)
	tty.drain()
	if err != nil {
		return errors.Join(err, a.runtime.Delete(c.ID, true))
	}
	if !keep {
		if err := a.runtime.Delete(c.ID, true); err != nil {
			return err
		}
	}
	return exitStatus(status)
}

// exitStatus turns how a process ended into berth's own exit code.
func exitStatus(status unix.WaitStatus) error {
	if code := codeOf(status); code != 0 {
		return exitCode(code)
	}
	return nil
}

// codeOf is the exit code that a shell has for how a process ended.
func codeOf(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
