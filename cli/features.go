package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

func (a *app) featuresCommand() *cli.Command {
	return &cli.Command{
		Name:  "features",
		Usage: "print what this version can do, as JSON",
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 0 {
				return fmt.Errorf("features takes no arguments, not %d", n)
			}
			return printJSON(os.Stdout, libcontainer.Features(version, commit))
		},
	}
}
