package cli

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

func (a *app) restoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "make a container with the processes of a checkpoint (with CRIU)",
		ArgsUsage: "ID",
		Flags: append(criuFlags(),
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "the bundle's `FOLDER`"},
			&cli.StringFlag{Name: "console-socket", Usage: "unix `SOCKET` that gets the terminal's master"},
			&cli.BoolFlag{Name: "tcp-close", Usage: "close open TCP connections"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "leave the container to itself once it runs"},
			&cli.StringFlag{Name: "pid-file", Usage: "`FILE` that gets the process id of the container's process"},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt processes that the container leaves behind"},
			&cli.BoolFlag{Name: "no-pivot", Usage: "use MS_MOVE and chroot in place of pivot_root (CRIU decides itself)"},
			&cli.StringFlag{Name: "lsm-profile", Usage: "other `TYPE:NAME` of AppArmor profile or SELinux label for the processes"},
			&cli.StringFlag{Name: "lsm-mount-context", Usage: "other SELinux `LABEL` for the mounts"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			opt, err := createOptions(c)
			if err != nil {
				return err
			}
			cr, err := criuOptions(c)
			if err != nil {
				return err
			}
			cr.TCPClose = value[bool](c, "tcp-close")
			cr.LSMProfile, cr.LSMMountContext = value[string](c, "lsm-profile"), value[string](c, "lsm-mount-context")
			restore := func(opt *libcontainer.CreateOptions) (*libcontainer.Container, error) {
				return a.runtime.Restore(opt, cr)
			}
			if !value[bool](c, "detach") {
				return a.foreground(opt, false, !value[bool](c, "no-subreaper"), func(opt *libcontainer.CreateOptions, _ *signals, _ *terminal) (*libcontainer.Container, error) {
					return restore(opt)
				})
			}
			if opt.Bundle.Spec.Process.Terminal && opt.ConsoleSocket == "" {
				return errors.New("process.terminal: a detached container has no terminal to relay to: pass --console-socket, or leave --detach out")
			}
			_, err = restore(opt)
			return err
		},
	}
}
