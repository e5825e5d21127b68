package cli

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (a *app) pauseCommand() *cli.Command {
	return &cli.Command{
		Name:      "pause",
		Usage:     "stop all processes of a container where they are; resume lets them go on",
		ArgsUsage: "ID",
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			return a.runtime.Pause(id)
		},
	}
}

func (a *app) resumeCommand() *cli.Command {
	return &cli.Command{
		Name:      "resume",
		Usage:     "let a paused container's processes go on",
		ArgsUsage: "ID",
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			return a.runtime.Resume(id)
		},
	}
}
